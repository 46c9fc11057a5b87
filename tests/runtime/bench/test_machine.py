from __future__ import annotations

import json
import platform
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmdd_edge._version import __version__
from dmdd_edge.cores import allowed_cores
from dmdd_edge.runtime.bench import machine
from dmdd_edge.runtime.bench.machine import circumstances, cpu_name, versions

Root = Callable[[dict[str, str]], Path]


def test_a_jetson_as_it_describes_itself(fake_root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "_nvpmodel", lambda: "15W")
    cpufreq = f"sys/devices/system/cpu/cpu{min(allowed_cores())}/cpufreq"
    root = fake_root(
        {
            "proc/cpuinfo": "processor\t: 0\nmodel name\t: ARMv8 Processor rev 1 (v8l)\n",
            "proc/device-tree/model": "NVIDIA Jetson Orin Nano Developer Kit\0",
            f"{cpufreq}/scaling_governor": "schedutil\n",
            f"{cpufreq}/scaling_max_freq": "1510400\n",
            f"{cpufreq}/cpuinfo_max_freq": "1728000\n",
            "sys/class/devfreq/17000000.gpu/cur_freq": "624750000\n",
            "sys/class/devfreq/17000000.gpu/governor": "nvhost_podgov\n",
        }
    )
    found = circumstances(root=root)
    assert found["machine"]["model"] == "NVIDIA Jetson Orin Nano Developer Kit"
    assert found["machine"]["cpu"] == "ARMv8 Processor rev 1 (v8l)"
    assert found["machine"]["cores_allowed"] == len(allowed_cores())
    assert found["power"] == {
        "mode": "15W",
        "governor": "schedutil",
        "cpu_mhz_max": 1728,
        "cpu_mhz_limit": 1510,
    }
    assert (found["gpu"]["mhz"], found["gpu"]["governor"]) == (625, "nvhost_podgov")


def test_what_is_measured_here_can_be_told_and_names_nobody() -> None:
    found = circumstances()
    text = json.dumps(found)
    assert platform.node() not in text or len(platform.node()) < 4
    assert str(Path.home()) not in text
    assert found["gpu"].get("name") or found["gpu"]["none_because"]
    assert found["machine"]["memory_gib"] > 0
    assert {"date", "load_average_before", "commit", "power"} <= set(found)
    assert cpu_name()


def test_versions_are_those_that_run() -> None:
    found = versions()
    assert found["dmdd-edge"] == __version__
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


@pytest.mark.parametrize(
    ("said", "mode"), [("NV Power Mode: 15W\n0\n", "15W"), ("NVPM ERROR: failed to read\n", None)]
)
def test_nvpmodels_answer(
    fake_root: Root, monkeypatch: pytest.MonkeyPatch, said: str, mode: str | None
) -> None:
    program = fake_root({"bin/nvpmodel": f"#!/bin/sh\nprintf '{said}'\n"}) / "bin" / "nvpmodel"
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(program.parent), prepend=":")
    assert machine._nvpmodel() == mode
