from __future__ import annotations

import os
from pathlib import Path

import pytest

from dmdd_edge.runtime.doctor import machine
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform


@pytest.fixture
def root(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A simulated machine whose files a test writes."""
    for name in ("proc", "sys/fs/cgroup", "etc"):
        (tmp_path / name).mkdir(parents=True)
    monkeypatch.setattr(os, "cpu_count", lambda: 8)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: {0, 1, 2, 3}, raising=False)
    (tmp_path / "proc" / "cpuinfo").write_text("processor\t: 0\nmodel name\t: Simulated 3000\n")
    (tmp_path / "proc" / "meminfo").write_text("MemTotal:  8388608 kB\nMemAvailable:  2097152 kB\n")
    (tmp_path / "etc" / "os-release").write_text('NAME=x\nPRETTY_NAME="Edge OS 2"\n')
    return tmp_path


def examine(root: Path, target: Platform | None = None) -> dict[str, Finding]:
    return {finding.name: finding for finding in machine.examine_machine(target or Platform(), root)}


def test_usable_cores_and_memory(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_quota", lambda: 1.5)
    (root / "sys/fs/cgroup" / "memory.max").write_text("1073741824\n")
    findings = examine(root)
    processor, memory = findings["machine.processor"], findings["machine.memory"]
    assert processor.detail.endswith("Simulated 3000, 4 of 8 cores allowed, limited to 1.5 cores' time")
    assert (processor.facts["cores"], processor.facts["cores_allowed"]) == (8, 4)
    assert memory.detail == "8.0 GiB, 2.0 GiB free, limited to 1.0 GiB"
    assert memory.facts == {"bytes": 8 << 30, "available_bytes": 2 << 30, "limit_bytes": 1 << 30}


def test_without_limits_none_is_reported(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "cpu_quota", lambda: None)
    (root / "sys/fs/cgroup" / "memory.max").write_text("max\n")
    findings = examine(root)
    assert findings["machine.processor"].detail.endswith("4 of 8 cores allowed")
    assert findings["machine.memory"].facts["limit_bytes"] is None


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("flags\t\t: fpu sse2 avx2 fma", []),
        ("flags\t\t: fpu avx512f avx512_vnni amx_bf16 amx_tile amx_int8", ["AVX-512 VNNI", "AMX"]),
        ("flags\t\t: fpu avx2 avx_vnni", ["AVX-VNNI"]),
        ("Features\t: fp asimd asimdhp asimddp i8mm", ["SDOT", "I8MM"]),
        ("BogoMIPS\t: 48.00", None),
    ],
)
def test_int8_instructions(root: Path, line: str, found: list[str] | None) -> None:
    (root / "proc" / "cpuinfo").write_text(f"processor\t: 0\n{line}\n")
    int8 = examine(root)["machine.int8"]
    assert int8.facts == {"instructions": found}
    start = ", ".join(found) if found else "unknown" if found is None else "no VNNI, AMX or dot product"
    assert int8.detail.startswith(start)


def test_the_system_and_a_container(root: Path) -> None:
    system = examine(root)["machine.system"]
    assert system.detail.startswith("Edge OS 2, kernel ")
    assert not system.facts["container"]
    (root / ".dockerenv").touch()
    assert examine(root)["machine.system"].detail.endswith(", in a container")


def test_a_machine_without_any_of_these_files(root: Path) -> None:
    for file in (root / "proc").iterdir():
        file.unlink()
    findings = examine(root)
    assert findings["machine.memory"].detail == "unknown, unknown free"
    assert all(finding.state == "ok" for finding in findings.values())
    assert "machine.jetson" not in findings


@pytest.mark.parametrize("mode", ["15W", None])
def test_a_jetsons_power_mode(root: Path, monkeypatch: pytest.MonkeyPatch, mode: str | None) -> None:
    monkeypatch.setattr(machine, "power_mode", lambda: mode)
    orin = Platform(jetson="NVIDIA Jetson Orin NX", jetpack=6, l4t="36.4.3")
    jetson = examine(root, orin)["machine.jetson"]
    assert jetson.facts == {
        "model": "NVIDIA Jetson Orin NX",
        "jetpack": 6,
        "l4t": "36.4.3",
        "power_mode": mode,
    }
    shown = "NVIDIA Jetson Orin NX, JetPack 6, Linux for Tegra 36.4.3"
    assert jetson.detail == shown + (f", power mode {mode}" if mode else "")
