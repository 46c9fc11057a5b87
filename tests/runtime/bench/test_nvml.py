from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from dmdd_edge.runtime.bench import nvml
from dmdd_edge.runtime.bench.nvml import GpuState, NvidiaWatch, open_gpu_watch, parse_program

LINE = "580.65.06, 70.00, Enabled, 1410, 2100, 6000, 54, 61.22, 0x0000000000000004\n"


def test_nvidia_smis_line() -> None:
    assert parse_program(LINE) == GpuState(
        {
            "driver": "580.65.06",
            "power_limit_w": 70.0,
            "persistence": True,
            "sm_mhz": 1410.0,
            "sm_mhz_max": 2100.0,
            "memory_mhz": 6000.0,
            "temperature_c": 54.0,
            "power_w": 61.22,
        },
        4,
    )


def test_what_nvidia_smi_does_not_know_is_left_out() -> None:
    state = parse_program("540.4.0, [N/A], Disabled, [N/A], [N/A], [N/A], 45, [Not Supported], [N/A]")
    assert state == GpuState({"driver": "540.4.0", "persistence": False, "temperature_c": 45.0}, 0)
    assert parse_program("Failed to initialize NVML: Driver/library version mismatch") is None


def test_the_states_between_start_and_stop_are_put_together() -> None:
    states = [
        GpuState({"sm_mhz": 100}, 0x40),  # before the start: of no concern
        GpuState({"sm_mhz": 1400, "temperature_c": 50}, 0x1),
        None,
        GpuState({"sm_mhz": 1200, "temperature_c": 88}, 0x24),
        GpuState({"sm_mhz": 1390, "temperature_c": 80}, 0),
    ]
    watch = NvidiaWatch(lambda: states.pop(0), often=True)
    watch.facts()
    for step in (watch.start, watch.sample, watch.sample):
        step()
    seen = watch.stop()
    assert seen.texts == [
        "the GPU was held back by its power limit",
        "the GPU was held back by its temperature (software)",
    ]
    assert seen.facts == {"sm_mhz": {"low": 1200, "high": 1400}, "temperature_c": {"low": 50, "high": 88}}
    assert states == []


def test_a_slow_program_is_not_asked_during_a_measurement() -> None:
    asked: list[int] = []

    def read() -> GpuState:
        asked.append(1)
        return GpuState({}, 0)

    watch = NvidiaWatch(read, often=False)
    watch.start()
    watch.sample()
    assert watch.stop().reliable
    assert len(asked) == 2


@pytest.fixture
def pynvml(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A ``pynvml`` that answers as on a Jetson: few questions; the list tells which GPU was asked for."""
    module, opened = ModuleType("pynvml"), []

    def refuse(*arguments: Any) -> Any:
        raise RuntimeError("NVML_ERROR_NOT_SUPPORTED")

    def handle(index: int) -> str:
        opened.append(index)
        return "gpu"

    known = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetHandleByIndex": handle,
        "nvmlSystemGetDriverVersion": lambda: b"540.4.0",
        "nvmlDeviceGetClockInfo": lambda gpu, kind: {0: 905, 2: 3199}[kind],
        "nvmlDeviceGetCurrentClocksThrottleReasons": lambda gpu: 0x8,
        "NVML_CLOCK_SM": 0,
        "NVML_CLOCK_MEM": 2,
        "NVML_TEMPERATURE_GPU": 0,
    }
    for name in (
        "nvmlDeviceGetPowerManagementLimit", "nvmlDeviceGetPersistenceMode", "nvmlDeviceGetMaxClockInfo",
        "nvmlDeviceGetTemperature", "nvmlDeviceGetPowerUsage",
    ):  # fmt: skip
        setattr(module, name, refuse)
    for name, value in known.items():
        setattr(module, name, value)
    monkeypatch.setitem(sys.modules, "pynvml", module)
    return opened


def test_pynvml_is_asked_where_it_is_there(pynvml: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    watch = open_gpu_watch()
    assert watch is not None
    assert pynvml == [1]
    assert watch.facts() == {"driver": "540.4.0"}
    watch.start()
    seen = watch.stop()
    assert seen.facts == {"sm_mhz": {"low": 905, "high": 905}, "memory_mhz": {"low": 3199, "high": 3199}}
    assert seen.texts == ["the GPU was held back by a hardware slowdown"]


def test_nothing_is_watched_where_there_is_no_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "pynvml", None)
    monkeypatch.setattr(nvml.shutil, "which", lambda name: None)
    assert open_gpu_watch() is None
    monkeypatch.setattr(nvml.shutil, "which", lambda name: "/nowhere/nvidia-smi")
    assert open_gpu_watch() is None
