"""What the CPU needs to train fast: freed memory kept, denormal numbers flushed.

A step frees and takes activations of up to a hundred megabytes each. By default glibc gives such blocks back
to the kernel and takes new pages, each of which is cleared and faulted in: more time than the arithmetic of a
BatchNorm over them. Keeping them nearly halves a step's time; benchmarks/train_throughput.py measures it.
"""

from __future__ import annotations

import ctypes
import ctypes.util
from collections.abc import Iterator
from contextlib import contextmanager

import torch

_M_TRIM_THRESHOLD, _M_TOP_PAD, _M_MMAP_MAX = -1, -2, -4
_TOP_PAD_BYTES = 256 * 2**20


def keep_freed_memory() -> bool:
    """Ask the C library to keep freed blocks for the rest of the process.

    Returns:
        whether it took the settings; False on a C library other than glibc, where nothing changes.
    """
    name = ctypes.util.find_library("c")
    try:
        mallopt = ctypes.CDLL(name).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    # A list: each of the settings counts, also after one that was refused.
    return all([mallopt(key, value) == 1 for key, value in settings])  # noqa: C419


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Numbers too small to matter count as zero: Adam's moments decay into them and slow the CPU down."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
