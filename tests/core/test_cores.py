"""How many cores may be used: the machine's, the affinity's, and what a container leaves."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmdd_edge import cores
from dmdd_edge.cores import cpu_quota, physical_cores, usable_cores

#: What mountinfo says of a mount: number, parent, device, what of it is mounted, where, options, kind.
V2 = "30 23 0:26 {part} /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "33 32 0:29 {part} /sys/fs/cgroup/cpu,cpuacct rw - cgroup cgroup rw,cpu,cpuacct\n"
OTHER = (
    "22 23 0:20 / /sys rw - sysfs sysfs rw\n34 32 0:30 / /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory\n"
)


def machine(root: Path, own: str, mounts: str, files: dict[str, str]) -> Path:
    """A file system that says of this process what a container's would."""
    for name, text in {"proc/self/cgroup": own, "proc/self/mountinfo": OTHER + mounts, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def v1(folder: str, quota: int, period: int = 100_000) -> dict[str, str]:
    place = f"sys/fs/cgroup/cpu,cpuacct{folder}"
    return {f"{place}/cpu.cfs_quota_us": f"{quota}\n", f"{place}/cpu.cfs_period_us": f"{period}\n"}


@pytest.mark.parametrize(
    ("own", "part", "files", "quota"),
    [
        # In a container with a name space of its own, its group is the root.
        ("0::/\n", "/", {"cpu.max": "200000 100000\n"}, 2.0),
        ("0::/\n", "/", {"cpu.max": "max 100000\n"}, None),
        ("0::/\n", "/", {}, None),
        # A service of systemd: the limit of a group above counts where it is smaller.
        ("0::/line.slice/a.service\n", "/", {"line.slice/a.service/cpu.max": "max 100000\n",
                                             "line.slice/cpu.max": "50000 100000\n"}, 0.5),
        ("0::/line.slice/a.service\n", "/", {"line.slice/a.service/cpu.max": "150000 50000\n",
                                             "line.slice/cpu.max": "400000 100000\n"}, 3.0),
        # Without a name space of its own, a container sees only its part of the tree.
        ("0::/docker/abc\n", "/docker/abc", {"cpu.max": "250000 100000\n"}, 2.5),
        # Moved away from what is mounted: what is mounted counts.
        ("0::/../elsewhere\n", "/", {"cpu.max": "100000 100000\n"}, 1.0),
        ("0::/\n", "/", {"cpu.max": "nonsense\n"}, None),
        ("0::/\n", "/", {"cpu.max": "100000 0\n"}, None),
    ],
)  # fmt: skip
def test_the_quota_of_version_2(
    tmp_path: Path, own: str, part: str, files: dict[str, str], quota: float | None
) -> None:
    files = {f"sys/fs/cgroup/{name}": text for name, text in files.items()}
    assert cpu_quota(machine(tmp_path, own, V2.format(part=part), files)) == quota


@pytest.mark.parametrize(
    ("own", "part", "files", "quota"),
    [
        ("4:memory:/\n3:cpu,cpuacct:/\n", "/", v1("", 400_000), 4.0),
        ("3:cpu,cpuacct:/\n", "/", v1("", -1), None),
        ("3:cpu,cpuacct:/docker/abc\n", "/docker/abc", v1("", 150_000), 1.5),
        ("3:cpu,cpuacct:/pods/a/b\n", "/", {**v1("/pods/a/b", -1), **v1("/pods", 100_000, 50_000)}, 2.0),
        ("3:cpuacct:/\n", "/", v1("", 400_000), None),  # a group that does not limit the time
    ],
)
def test_the_quota_of_version_1(
    tmp_path: Path, own: str, part: str, files: dict[str, str], quota: float | None
) -> None:
    assert cpu_quota(machine(tmp_path, own, V1.format(part=part), files)) == quota


def test_the_smaller_of_both_versions_counts(tmp_path: Path) -> None:
    both = V1.format(part="/") + V2.format(part="/").replace("/sys/fs/cgroup", "/sys/fs/cgroup/unified")
    files = {**v1("", 300_000), "sys/fs/cgroup/unified/cpu.max": "200000 100000\n"}
    assert cpu_quota(machine(tmp_path, "3:cpu,cpuacct:/\n0::/\n", both, files)) == 2.0


def test_a_machine_that_tells_nothing_has_no_quota(tmp_path: Path) -> None:
    assert cpu_quota(tmp_path) is None


@pytest.mark.parametrize(
    ("quota", "physical", "used"), [(None, 32, 32), (2.0, 32, 2), (2.9, 32, 2), (0.5, 32, 1), (64.0, 8, 8)]
)
def test_threads_keep_within_the_quota(
    monkeypatch: pytest.MonkeyPatch, quota: float | None, physical: int, used: int
) -> None:
    monkeypatch.setattr(cores, "cpu_quota", lambda: quota)
    monkeypatch.setattr(cores, "physical_cores", lambda: physical)
    assert usable_cores() == used


def test_physical_cores_agree_with_the_list_of_processors() -> None:
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    cores = set()
    for block in text.strip().split("\n\n"):
        pairs = (line.partition(":") for line in block.splitlines())
        entry = {key.strip(): value.strip() for key, _, value in pairs}
        if "core id" in entry and int(entry["processor"]) in os.sched_getaffinity(0):
            cores.add((entry["physical id"], entry["core id"]))
    if not cores:
        pytest.skip("this machine does not list its cores in /proc/cpuinfo")
    assert physical_cores() == len(cores)
