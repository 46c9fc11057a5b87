from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor import machine
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose /proc and cgroups can be written."""
    for name in ("proc", "cgroup", "bin"):
        (tmp_path / name).mkdir()
    monkeypatch.setattr(machine, "_PROC", tmp_path / "proc")
    monkeypatch.setattr(machine, "_CGROUP", tmp_path / "cgroup")
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    (tmp_path / "proc" / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Made Up 3000\n")
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  8388608 kB\nMemAvailable:  2097152 kB\n")
    return tmp_path


def by_name(findings: list[Finding]) -> dict[str, Finding]:
    return {finding.name: finding for finding in findings}


def test_cores_and_memory_are_those_that_may_be_used(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.5)
    (made_up / "cgroup" / "memory.max").write_text("1073741824\n")
    found = by_name(machine.examine_machine(Platform()))
    processor, memory = found["machine.processor"], found["machine.memory"]
    assert processor.detail.endswith("Made Up 3000, 4 of 8 cores allowed, limited to the time of 1.5")
    assert (processor.facts["cores"], processor.facts["cores_allowed"]) == (8, 4)
    assert memory.detail == "8.0 GiB, 2.0 GiB free, limited to 1.0 GiB"
    assert memory.facts == {"bytes": 8 << 30, "available_bytes": 2 << 30, "limit_bytes": 1 << 30}


def test_without_limits_none_is_told(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_quota", lambda: None)
    (made_up / "cgroup" / "memory.max").write_text("max\n")
    found = by_name(machine.examine_machine(Platform()))
    assert found["machine.processor"].detail.endswith("4 of 8 cores allowed")
    assert found["machine.memory"].facts["limit_bytes"] is None


def test_a_machine_that_tells_nothing_is_no_error(made_up: Path) -> None:
    for file in (made_up / "proc").iterdir():
        file.unlink()
    found = by_name(machine.examine_machine(Platform()))
    assert found["machine.memory"].detail == "unknown, unknown free"
    assert all(finding.state == "ok" for finding in found.values())
    assert "machine.jetson" not in found


@pytest.mark.parametrize(
    ("script", "mode"),
    [
        ("echo 'NV Power Mode: MAXN'; echo 0", "MAXN"),
        ("echo 'NV Power Mode: 15W'; echo 2", "15W"),
        ("echo 'no permission' >&2; exit 1", None),
        (None, None),
    ],
)
def test_a_jetson_tells_its_power_mode(
    made_up: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, mode: str | None
) -> None:
    monkeypatch.setenv("PATH", f"{made_up / 'bin'}:/usr/bin:/bin")
    if script is not None:
        tool = made_up / "bin" / "nvpmodel"
        tool.write_text(f"#!/bin/sh\n{script}\n")
        tool.chmod(0o755)
    here = Platform(jetson="NVIDIA Jetson Orin NX", jetpack=6)
    jetson = by_name(machine.examine_machine(here))["machine.jetson"]
    assert jetson.facts == {"model": "NVIDIA Jetson Orin NX", "jetpack": 6, "power_mode": mode}
    assert jetson.detail == "NVIDIA Jetson Orin NX, JetPack 6" + (f", power mode {mode}" if mode else "")
