from __future__ import annotations

import platform
from pathlib import Path

import pytest

from dmdd_edge.cores import allowed_cores
from dmdd_edge.runtime.machine import (
    CpuClock,
    Memory,
    board_model,
    cpu_clock,
    cpu_name,
    memory,
    power_mode,
    read_number,
)


def write(root: Path, files: dict[str, str]) -> None:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)


def test_the_processors_name(tmp_path: Path) -> None:
    assert cpu_name(tmp_path) == (platform.processor() or platform.machine())
    write(tmp_path, {"proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n"})
    assert cpu_name(tmp_path) == "ARMv8 Processor rev 1 (v8l)"


def test_the_board_of_a_device_tree(tmp_path: Path) -> None:
    assert board_model(tmp_path) is None
    write(tmp_path, {"proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0"})
    assert board_model(tmp_path) == "NVIDIA Jetson Orin Nano Developer Kit"


def test_memory_and_the_limit_of_a_container(tmp_path: Path) -> None:
    assert memory(tmp_path) == Memory(None, None, None)
    write(tmp_path, {"proc/meminfo": "MemTotal:  8388608 kB\nMemAvailable:  2097152 kB\n"})
    assert memory(tmp_path) == Memory(8 << 30, 2 << 30, None)
    for text, limit in [("1073741824\n", 1 << 30), ("max\n", None), (f"{9 << 30}\n", None)]:
        write(tmp_path, {"sys/fs/cgroup/memory.max": text})
        assert memory(tmp_path).limit == limit


def test_the_clock_that_the_hardware_and_the_policy_allow(tmp_path: Path) -> None:
    assert cpu_clock(tmp_path) == CpuClock(None, None, None, None)
    folder = f"sys/devices/system/cpu/cpu{min(allowed_cores())}/cpufreq"
    write(
        tmp_path,
        {
            f"{folder}/scaling_governor": "schedutil\n",
            f"{folder}/scaling_max_freq": "1510400\n",
            f"{folder}/cpuinfo_max_freq": "1728000\n",
        },
    )
    assert cpu_clock(tmp_path) == CpuClock("schedutil", None, mhz_max=1728, mhz_limit=1510)


@pytest.mark.parametrize(
    ("script", "mode"),
    [
        ("echo 'NV Power Mode: MAXN'; echo 0", "MAXN"),
        ("echo 'NV Power Mode: 15W'; echo 2", "15W"),
        ("echo 'NVPM ERROR: failed to read'", None),
        ("echo 'no permission' >&2; exit 1", None),
        (None, None),
    ],
)
def test_the_power_mode_of_a_jetson(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, mode: str | None
) -> None:
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    if script is not None:
        (tmp_path / "nvpmodel").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "nvpmodel").chmod(0o755)
    assert power_mode() == mode


def test_a_file_without_a_number(tmp_path: Path) -> None:
    write(tmp_path, {"number": "3\n", "text": "max\n", "empty": ""})
    assert [read_number(tmp_path / name) for name in ("number", "text", "empty", "missing")] == [
        3,
        None,
        None,
        None,
    ]
