"""Unique names of frames within a run, in a fixed amount of memory."""

from __future__ import annotations

import datetime
import hashlib
from pathlib import PurePosixPath

_BITS = 1 << 23


class UniqueNames:
    """Gives each frame a unique name where a path may repeat, as in a list on standard input.

    Used names are kept in a Bloom filter of 1 MiB, since a list may last for months. Where it errs, a new
    name counts as used and gets an unnecessary number.
    """

    def __init__(self) -> None:
        self._seen = bytearray(_BITS // 8)

    def take(self, name: str, index: int) -> str:
        """Return the name itself the first time, later with the frame's index before its suffix.

        Args:
            name: a relative path with ``/``.
            index: the frame's unique index.
        """
        path, candidate, attempt = PurePosixPath(name), name, 0
        while not self._add(candidate) and attempt < 3:
            # A second attempt where a file happens to have that name; the unique index makes a third one
            # unnecessary, except with a full filter.
            number = f"{index:06d}" if attempt == 0 else f"{index:06d}-{attempt}"
            candidate = path.with_name(f"{path.stem}-{number}{path.suffix}").as_posix()
            attempt += 1
        return candidate

    def _add(self, name: str) -> bool:
        """Add a name; return whether it is new."""
        digest = hashlib.blake2b(name.encode("utf-8", "surrogateescape"), digest_size=16).digest()
        new = False
        for start in range(0, 16, 4):
            bit = int.from_bytes(digest[start : start + 4], "little") % _BITS
            byte, mask = bit // 8, 1 << bit % 8
            if not self._seen[byte] & mask:
                self._seen[byte] |= mask
                new = True
        return new


def live_name(label: str, when: float, index: int) -> str:
    """The name of a camera's frame: a folder per day, the time in UTC to the millisecond, and the index.

    It does not repeat after a restart, so a run for months never overwrites older images.

    Args:
        label: of the camera, valid as a folder name.
        when: seconds since 1970.
        index: the frame's index.
    """
    time = datetime.datetime.fromtimestamp(when, datetime.timezone.utc)
    return f"{label}/{time:%Y-%m-%d/%H-%M-%S}-{time.microsecond // 1000:03d}-{index:06d}"
