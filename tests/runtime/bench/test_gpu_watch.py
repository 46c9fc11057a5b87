from __future__ import annotations

import sys
from types import ModuleType
from typing import Any

import pytest

from dmdd_edge.runtime.bench.circumstances import open_gpu_watch
from dmdd_edge.runtime.bench.interference import NvidiaWatch
from dmdd_edge.runtime.cuda.nvml import GpuState, open_nvml


def test_the_states_between_start_and_stop_are_combined() -> None:
    states = [
        GpuState({"sm_mhz": 100}, 0x40),  # before the start: ignored
        GpuState({"sm_mhz": 1400, "temperature_c": 50}, 0x1),
        GpuState({}),
        GpuState({"sm_mhz": 1200, "temperature_c": 88}, 0x24),
        GpuState({"sm_mhz": 1390, "temperature_c": 80}, 0),
    ]
    watch = NvidiaWatch(lambda: states.pop(0))
    watch.facts()
    for step in (watch.start, watch.sample, watch.sample):
        step()
    interference = watch.stop()
    assert interference.texts == [
        "the GPU was throttled by its power limit",
        "the GPU was throttled by its temperature (software)",
    ]
    assert interference.facts == {
        "sm_mhz": {"low": 1200, "high": 1400},
        "temperature_c": {"low": 50, "high": 88},
    }
    assert states == []


@pytest.fixture
def pynvml(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """A ``pynvml`` that answers few queries, as on a Jetson; the list records the opened GPUs."""
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


def test_nvml_reads_the_first_gpu_that_cuda_uses(pynvml: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "1")
    watch = open_gpu_watch()
    assert watch is not None
    assert pynvml == [1]
    assert watch.facts() == {"driver": "540.4.0"}
    watch.start()
    interference = watch.stop()
    assert interference.facts == {
        "sm_mhz": {"low": 905, "high": 905},
        "memory_mhz": {"low": 3199, "high": 3199},
    }
    assert interference.texts == ["the GPU was throttled by a hardware slowdown"]


def test_without_nvml_or_a_driver_no_gpu_is_watched(
    pynvml: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def init() -> None:
        raise RuntimeError("Driver Not Loaded")

    monkeypatch.setattr(sys.modules["pynvml"], "nvmlInit", init)
    with pytest.raises(RuntimeError, match="NVML: Driver Not Loaded"):
        open_nvml()
    assert open_gpu_watch() is None
    monkeypatch.setitem(sys.modules, "pynvml", None)
    with pytest.raises(RuntimeError, match="nvidia-ml-py is not installed"):
        open_nvml()
    assert open_gpu_watch() is None
