"""Return freed memory to the system."""

from __future__ import annotations

import contextlib
import ctypes


def trim_heap() -> None:
    """Make the C library return freed memory to the system; no effect if it does not support that.

    glibc keeps freed memory between other blocks for later use. A run that changes its bundle now and then
    would use half as much again as it needs.
    """
    # AttributeError: another C library, such as musl, which returns it automatically.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
