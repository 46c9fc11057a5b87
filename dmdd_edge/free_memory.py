"""How much memory this process may still take: what the machine has free, within a container's limit."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

_ROOT = Path("/")


def free_memory_mb(root: Path = _ROOT) -> int:
    """Available memory in MiB; from /proc/meminfo, else from the page counts.

    In a container with a limit (control groups, version 2) it is at most what the limit leaves.

    Args:
        root: the file system; for tests.
    """
    free = _of_machine(root)
    left = _of_container(root / "sys/fs/cgroup")
    return free if left is None else min(free, left)


def _of_machine(root: Path) -> int:
    with suppress(OSError):
        for line in (root / "proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) // 1024
    return os.sysconf("SC_AVPHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2**20


def _of_container(group: Path) -> int | None:
    """What the limit of the container leaves; pages of files count as free. None without a limit."""
    try:
        limit, used = int((group / "memory.max").read_text()), int((group / "memory.current").read_text())
    except (OSError, ValueError):  # no file, or "max"
        return None
    with suppress(OSError, ValueError, IndexError):
        for line in (group / "memory.stat").read_text().splitlines():
            if line.startswith("inactive_file "):
                used -= int(line.split()[1])
    return max(limit - used, 0) // 2**20
