"""Sizes on disk as a person writes them: 500KB, 2GB."""

from __future__ import annotations

import re

from dmdd_edge.errors import OptionError

# Stricter than ByteSize, which reads 1,5GB as one byte and takes bits.
_FORM = re.compile(r"\s*\d+(\.\d+)?\s*([KMGT]I?)?B?\s*", re.ASCII | re.IGNORECASE)
_ALLOWED = (
    "A size is a number with B, KB, MB, GB or TB (steps of 1000) or KiB, MiB, GiB or TiB (of 1024): "
    "500KB, 1.5GB."
)


def parse_size(text: str, option: str = "the size") -> int:
    """Bytes of a size such as ``500KB``, ``1.5 GB``, ``64MiB`` or ``4096``; at least 1.

    KB, MB, GB and TB are powers of 1000, as disks are sold; KiB and so on are powers of 1024. Upper and lower
    case are the same.

    Args:
        text: what the user wrote.
        option: the option that it belongs to, for the message: ``--keep``.

    Raises:
        OptionError: it is not a size, or less than one byte.
    """
    from pydantic import ByteSize, TypeAdapter  # slow to import, and a help text needs no size

    if not _FORM.fullmatch(text):
        raise OptionError(f"{option} {text!r} is not a size.", _ALLOWED)
    size = int(TypeAdapter(ByteSize).validate_python(text))
    if size < 1:
        raise OptionError(f"{option} {text!r} is less than one byte.", _ALLOWED)
    return size


def written_size(size: int) -> int | str:
    """Bytes as ``parse_size`` reads them, with the largest unit that leaves a whole number: ``100MB``."""
    units = {
        f"{prefix}{kind}": base**power
        for kind, base in (("B", 1000), ("iB", 1024))
        for power, prefix in enumerate("KMGT", 1)
    }
    fitting = [(factor, unit) for unit, factor in units.items() if size % factor == 0]
    if not fitting:
        return size
    factor, unit = max(fitting)
    return f"{size // factor}{unit}"


def size_text(size: int) -> str:
    """Bytes in words: ``1.5 GB``."""
    from pydantic import ByteSize

    return re.sub(r"(?<=\d)(?=[A-Z])", " ", ByteSize(size).human_readable(decimal=True))
