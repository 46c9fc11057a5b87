"""Files of lines: where the whole lines end after a kill or a power cut."""

from __future__ import annotations

import os
from pathlib import Path

_BLOCK = 1 << 16


def whole_length(descriptor: int) -> int:
    """Length of a file up to its last line break, in bytes.

    What follows is a line that was being written when the process or the power ended, or the zeros that a
    power cut leaves.
    """
    end = os.fstat(descriptor).st_size
    while end:
        start = max(0, end - _BLOCK)
        position = os.pread(descriptor, end - start, start).rfind(b"\n")
        if position >= 0:
            return start + position + 1
        end = start
    return 0


def cut_torn_tail(path: Path) -> int:
    """Cut off what follows the last line break.

    Returns:
        The new length of the file in bytes.

    Raises:
        OSError: the file cannot be read or cut.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    try:
        length = whole_length(descriptor)
        if length < os.fstat(descriptor).st_size:
            os.ftruncate(descriptor, length)
    finally:
        os.close(descriptor)
    return length
