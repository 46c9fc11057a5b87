from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from dmdd_edge.runtime.bench import interference as module
from dmdd_edge.runtime.bench.interference import Interference, InterferenceWatch, Reason, worst

Root = Callable[[dict[str, str]], Path]

TICKS = 100


def stat(user: int, steal: int = 0, other_core: int = 0) -> str:
    """/proc/stat, in hundredths of a second of the cores 2 and 3; core 0 is not ours."""
    return (
        "cpu  9 9 9 9 9 9 9 9 9 9\n"
        f"cpu0 {other_core} 0 0 0 0 0 0 0 0 0\n"
        f"cpu2 {user} 0 0 100 0 0 0 {steal} 0 0\n"
        "cpu3 0 10 20 100 5 30 40 0 0 0\n"
        "intr 1 2 3\n"
    )


@pytest.fixture
def hours(monkeypatch: pytest.MonkeyPatch) -> SimpleNamespace:
    """The wall clock and this process's time, to be set."""
    fake = SimpleNamespace(wall=50.0, own=1.0)
    monkeypatch.setattr(
        module, "time", SimpleNamespace(monotonic=lambda: fake.wall, process_time=lambda: fake.own)
    )
    monkeypatch.setattr(os, "sysconf", lambda name: TICKS)
    return fake


def test_what_others_take_is_what_the_cores_did_and_we_did_not(
    fake_root: Root, hours: SimpleNamespace
) -> None:
    root = fake_root({"proc/stat": stat(1000)})
    watch = InterferenceWatch(root=root, cores=[2, 3])
    watch.start()
    # In 10 s two cores have 20 s. They worked 12 s, 9 of them for us: 3 of 20 are others'. 0.5 s were stolen.
    fake_root({"proc/stat": stat(2200, steal=50, other_core=5000)})
    hours.wall, hours.own = 60.0, 10.0
    seen = watch.stop()
    assert seen.facts["others"] == 0.15
    assert seen.facts["stolen"] == 0.025
    assert seen.texts == ["other processes used 15 % of the CPU", "the hypervisor took 2.5 % of the CPU"]
    assert not seen.reliable


def test_a_quiet_machine_is_reliable(fake_root: Root, hours: SimpleNamespace) -> None:
    throttle = "sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count"
    clock = "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq"
    fan = {
        "sys/class/thermal/cooling_device0/type": "pwm-fan",
        "sys/class/thermal/cooling_device0/cur_state": "3",
    }
    root = fake_root({"proc/stat": stat(1000), throttle: "7\n", clock: "2400000\n", **fan})
    watch = InterferenceWatch(root=root, cores=[2, 3])
    watch.start()
    fake_root({"proc/stat": stat(2000)})
    hours.wall, hours.own = 60.0, 10.9
    seen = watch.stop()
    assert seen.reliable
    assert seen.facts["others"] == 0.005
    assert seen.facts["cpu_mhz"] == {"low": 2400, "high": 2400}


def test_throttling_marks_the_figures(fake_root: Root, hours: SimpleNamespace) -> None:
    cpu = "sys/devices/system/cpu"
    counts = {
        f"{cpu}/cpu2/thermal_throttle/core_throttle_count": "1",
        f"{cpu}/cpu2/thermal_throttle/package_throttle_count": "4",
        f"{cpu}/cpu3/thermal_throttle/package_throttle_count": "4",
        "sys/class/hwmon/hwmon1/oc1_event_cnt": "0",
        "sys/class/thermal/cooling_device4/type": "cpufreq-cpu0",
        "sys/class/thermal/cooling_device4/cur_state": "0",
        f"{cpu}/cpu2/cpufreq/scaling_cur_freq": "3000000",
        f"{cpu}/cpu3/cpufreq/scaling_cur_freq": "800000",
    }
    watch = InterferenceWatch(root=fake_root(counts), cores=[2, 3])
    watch.start()
    package = {f"{cpu}/cpu{core}/thermal_throttle/package_throttle_count": "6" for core in (2, 3)}
    fake_root(
        {
            **package,
            "sys/class/hwmon/hwmon1/oc1_event_cnt": "1",
            "sys/class/thermal/cooling_device4/cur_state": "2",
            f"{cpu}/cpu2/cpufreq/scaling_cur_freq": "2400000",
        }
    )
    hours.wall += 2
    watch.sample()
    fake_root({"sys/class/thermal/cooling_device4/cur_state": "0"})
    seen = watch.stop()
    assert seen.texts == [
        "throttled 3 times (oc1_event_cnt, package_throttle_count)",
        "thermally throttled by cpufreq-cpu0",
        "the clock fell from 3000 to 2400 MHz",
    ]
    assert seen.facts["throttle_events"] == {"package_throttle_count": 2, "oc1_event_cnt": 1}
    assert "others" not in seen.facts, "there is no /proc/stat here"


def test_the_clocks_are_read_once_a_second(fake_root: Root, hours: SimpleNamespace) -> None:
    name = "sys/devices/system/cpu/cpu2/cpufreq/scaling_cur_freq"
    watch = InterferenceWatch(root=fake_root({name: "2000000"}), cores=[2])
    watch.start()
    fake_root({name: "1000000"})
    hours.wall += 0.5
    watch.sample()
    fake_root({name: "2000000"})
    assert watch.stop().facts["cpu_mhz"] == {"low": 2000, "high": 2000}


def test_a_new_start_forgets_what_was_seen(fake_root: Root, hours: SimpleNamespace) -> None:
    name = "sys/devices/system/cpu/cpu2/thermal_throttle/core_throttle_count"
    watch = InterferenceWatch(root=fake_root({name: "1"}), cores=[2])
    watch.start()
    fake_root({name: "5"})
    assert not watch.stop().reliable
    watch.start()
    assert watch.stop().reliable


def test_a_gpus_reasons_are_among_them(fake_root: Root) -> None:
    calls: list[str] = []

    class Gpu:
        def start(self) -> None:
            calls.append("start")

        def sample(self) -> None:
            calls.append("sample")

        def stop(self) -> Interference:
            return Interference((Reason("hot", "gpu"),), {"sm_mhz": 900})

    watch = InterferenceWatch(Gpu(), root=fake_root({}), cores=[0])
    watch.start()
    seen = watch.stop()
    assert seen.texts == ["hot"]
    assert seen.facts["gpu"] == {"sm_mhz": 900}
    assert calls == ["start", "sample", "sample"]


def test_the_worst_reason_of_each_kind_is_told() -> None:
    reasons = [Reason("others 20", "others", 0.2), Reason("hot", "heat"), Reason("others 40", "others", 0.4)]
    assert worst(reasons) == ["others 40", "hot"]


def test_this_machine_can_be_watched() -> None:
    watch = InterferenceWatch()
    watch.start()
    began = time.process_time()
    while time.process_time() - began < 0.15:
        pass
    seen = watch.stop()
    assert 0 <= seen.facts.get("others", 0) <= 1
    assert 0 <= seen.facts.get("stolen", 0) <= 1
