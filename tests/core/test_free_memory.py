"""Free memory: of the machine, and of a container with a limit."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.free_memory import free_memory_mb

#: 8000 MiB.
MEMINFO = "MemTotal: 16384000 kB\nMemAvailable: 8192000 kB\n"


@pytest.fixture
def root(tmp_path: Path) -> Path:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text(MEMINFO)
    (tmp_path / "sys/fs/cgroup").mkdir(parents=True)
    return tmp_path


def test_without_a_limit_it_is_the_machines(root: Path) -> None:
    (root / "sys/fs/cgroup/memory.max").write_text("max\n")
    (root / "sys/fs/cgroup/memory.current").write_text("1\n")
    assert free_memory_mb(root) == 8000


def test_a_containers_limit_counts_and_its_file_pages_are_free(root: Path) -> None:
    group = root / "sys/fs/cgroup"
    (group / "memory.max").write_text(f"{1000 * 2**20}\n")
    (group / "memory.current").write_text(f"{900 * 2**20}\n")
    assert free_memory_mb(root) == 100
    (group / "memory.stat").write_text(f"anon 5\ninactive_file {300 * 2**20}\nactive_file 7\n")
    assert free_memory_mb(root) == 400


def test_a_limit_above_what_is_free_changes_nothing(root: Path) -> None:
    (root / "sys/fs/cgroup/memory.max").write_text(f"{9000 * 2**20}\n")
    (root / "sys/fs/cgroup/memory.current").write_text("0\n")
    assert free_memory_mb(root) == 8000
