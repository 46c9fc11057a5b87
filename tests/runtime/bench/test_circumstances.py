from __future__ import annotations

import json
import platform
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmdd_edge._version import __version__
from dmdd_edge.cores import allowed_cores
from dmdd_edge.runtime.bench import circumstances as module
from dmdd_edge.runtime.bench.circumstances import circumstances, open_gpu_watch, versions
from dmdd_edge.runtime.cuda.gpu import GpuFacts, GpuProbe

Root = Callable[[dict[str, str]], Path]


def test_a_jetson_as_it_describes_itself(fake_root: Root, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "power_mode", lambda: "15W")
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


def test_the_circumstances_of_this_machine_name_nobody() -> None:
    found = circumstances()
    text = json.dumps(found)
    assert platform.node() not in text or len(platform.node()) < 4
    assert str(Path.home()) not in text
    assert found["gpu"].get("name") or found["gpu"]["none_because"]
    assert found["machine"]["memory_gib"] > 0
    assert {"date", "load_average_before", "commit", "power"} <= set(found)
    assert found["machine"]["cpu"]


def test_versions_are_those_that_run() -> None:
    found = versions()
    assert found["dmdd-edge"] == __version__
    assert found["python"] == platform.python_version()
    assert found["numpy"] == np.__version__


def test_a_gpu_without_nvml_says_why_it_is_not_watched(monkeypatch: pytest.MonkeyPatch) -> None:
    facts = GpuFacts("Orin", "sm87", "540.4.0", "12.6", 8 << 30, True)
    monkeypatch.setattr(module, "probe_gpu", lambda: GpuProbe(facts))
    monkeypatch.setitem(sys.modules, "pynvml", None)
    gpu = circumstances(open_gpu_watch())["gpu"]
    assert gpu["unwatched_because"] == "nvidia-ml-py is not installed"
    assert (gpu["name"], gpu["sm"], gpu["driver"], gpu["cuda"]) == ("Orin", "sm87", "540.4.0", "12.6")
