"""How many cores this process may use: what the machine has, its affinity, and a container's quota.

A container with ``--cpus 2`` on a machine of 32 cores sees all 32. As many threads would share the time of
two and stop each other, so whatever starts threads asks here.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

_ROOT = Path("/")


def usable_cores() -> int:
    """How many threads this process may keep busy: physical cores, within a container's quota; at least 1."""
    quota = cpu_quota()
    cores = physical_cores()
    # Rounded down: a thread beyond the quota is stopped for a part of every period, and the rest wait for it.
    return cores if quota is None else max(min(cores, int(quota)), 1)


def allowed_cores() -> set[int]:
    """The logical cores that this process may run on."""
    return os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else set(range(os.cpu_count() or 1))


def physical_cores() -> int:
    """How many physical cores this process may run on; logical ones where the machine does not say."""
    return max(len(core_groups()), 1)


def core_groups() -> list[tuple[int, ...]]:
    """The logical cores that this process may run on, those of a physical core together, in order.

    Where the machine does not say which belong together, each is on its own.
    """
    groups: dict[str, list[int]] = {}
    allowed = sorted(allowed_cores())
    for cpu in allowed:
        # Two hyperthreads of a core name the same siblings.
        try:
            siblings = Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list").read_text()
        except OSError:
            return [(cpu,) for cpu in allowed]
        groups.setdefault(siblings.strip(), []).append(cpu)
    return [tuple(group) for group in groups.values()]


def cpu_quota(root: Path = _ROOT) -> float | None:
    """Number of cores whose time a control group allows this process; None without a limit.

    The smallest limit of the process's group and of those above it counts, of version 2 (``cpu.max``) and of
    version 1 (``cpu.cfs_quota_us``).

    Args:
        root: the file system; for tests.
    """
    limits = [
        limit
        for version, group, top in _groups(root)
        for folder in _upwards(group, top)
        if (limit := _limit(folder, version)) is not None
    ]
    return min(limits, default=None)


def _groups(root: Path) -> Iterator[tuple[int, Path, Path]]:
    """The control groups that limit this process's time: version, its folder, and the highest one seen."""
    own: dict[int, str] = {}
    for line in _lines(root / "proc/self/cgroup"):
        number, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if number == "0" and not controllers:
            own[2] = path
        elif "cpu" in controllers.split(","):
            own[1] = path
    for line in _lines(root / "proc/self/mountinfo"):
        before, _, after = line.partition(" - ")
        fields, kind = before.split(), after.split()
        if len(fields) < 5 or len(kind) < 3:
            continue
        limits_time = "cpu" in kind[2].split(",")
        version = 2 if kind[0] == "cgroup2" else 1 if kind[0] == "cgroup" and limits_time else 0
        if version not in own:
            continue
        top = root / _plain(fields[4]).lstrip("/")
        # What is mounted may be a part of the tree: then the group's path is seen from further up.
        try:
            below = PurePosixPath(own[version]).relative_to(_plain(fields[3]))
        except ValueError:
            below = PurePosixPath()
        if ".." in below.parts:
            below = PurePosixPath()
        yield version, top / below, top


def _upwards(folder: Path, top: Path) -> Iterator[Path]:
    yield folder
    while folder != top and folder != folder.parent:
        folder = folder.parent
        yield folder


def _limit(folder: Path, version: int) -> float | None:
    if version == 2:
        quota, period = (*_first_line(folder / "cpu.max").split(), "", "")[:2]
    else:
        quota, period = (_first_line(folder / f"cpu.cfs_{name}_us") for name in ("quota", "period"))
    # "max" and -1 say that there is no limit.
    if quota.isdecimal() and period.isdecimal() and int(quota) and int(period):
        return int(quota) / int(period)
    return None


def _plain(path: str) -> str:
    """A path of ``mountinfo``, which writes a space as ``\\040``."""
    return path.encode("latin-1", "replace").decode("unicode_escape") if "\\" in path else path


def _first_line(path: Path) -> str:
    return next(iter(_lines(path)), "").strip()


def _lines(path: Path) -> list[str]:
    try:
        return path.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []
