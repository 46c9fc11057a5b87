"""Memory that was freed, given back to the system."""

from __future__ import annotations

import contextlib
import ctypes


def trim_heap() -> None:
    """Let the C library return freed memory to the system; does nothing where it cannot be asked to.

    glibc keeps what is freed in pieces between others for later. A run that changes its bundle now and then
    would hold half as much again as it needs.
    """
    # AttributeError: another C library, such as musl's, which returns it by itself.
    with contextlib.suppress(AttributeError, OSError, TypeError):
        ctypes.CDLL(None).malloc_trim(0)
