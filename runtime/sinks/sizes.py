"""Sizes on disk as a person writes them: 500KB, 2GB."""

from __future__ import annotations

import re

from dmdd_edge.errors import OptionError

_UNITS = {
    "": 1,
    "B": 1,
    **{f"{prefix}B": 1000**power for power, prefix in enumerate("KMGT", 1)},
    **{f"{prefix}IB": 1024**power for power, prefix in enumerate("KMGT", 1)},
}
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
        option: where, for the message: ``--keep``.

    Raises:
        DmddError: it is no size, or less than one byte.
    """
    match = re.fullmatch(r"\s*(\d+(?:\.\d+)?)\s*([A-Za-z]*)\s*", text)
    unit = None if match is None else _UNITS.get(match[2].upper())
    if match is None or unit is None:
        raise OptionError(f"{option} {text!r} is not a size.", _ALLOWED)
    size = int(float(match[1]) * unit)
    if size < 1:
        raise OptionError(f"{option} {text!r} is less than one byte.", _ALLOWED)
    return size


def size_text(size: int) -> str:
    """Bytes in words: ``1.5 GB``."""
    for unit in ("TB", "GB", "MB", "KB"):
        if size >= _UNITS[unit]:
            return f"{size / _UNITS[unit]:.3g} {unit}"
    return f"{size} B"
