"""Speeds up training on a CPU: freed memory is kept, denormal numbers are flushed.

A step frees and allocates activations of up to a hundred megabytes each. By default glibc returns such blocks
to the kernel and gets new pages, each of which is cleared and faulted in: more time than the arithmetic of a
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
        whether the settings were accepted; False on a C library other than glibc, where nothing changes.
    """
    name = ctypes.util.find_library("c")
    try:
        mallopt = ctypes.CDLL(name).mallopt
    except (OSError, AttributeError):
        return False
    settings = ((_M_MMAP_MAX, 0), (_M_TRIM_THRESHOLD, 2**31 - 1), (_M_TOP_PAD, _TOP_PAD_BYTES))
    # A list, so that each setting is applied even after one that was rejected.
    return all([mallopt(key, value) == 1 for key, value in settings])  # noqa: C419


@contextmanager
def denormals_flushed() -> Iterator[None]:
    """Treat denormal numbers as zero inside the block: Adam's moments decay into them, which is slow."""
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(False)
