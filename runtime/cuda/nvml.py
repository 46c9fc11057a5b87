"""An NVIDIA GPU's clocks, power and throttling, through NVML (``nvidia-ml-py``)."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

#: Bits of NVML's reasons for a lowered clock that distort a measurement. An idle GPU and clocks set by a
#: user are not among them.
THROTTLED_BY = {
    0x04: "its power limit",
    0x08: "a hardware slowdown",
    0x20: "its temperature (software)",
    0x40: "its temperature (hardware)",
    0x80: "the power supply",
}


@dataclass(frozen=True)
class GpuState:
    """A GPU at a moment; what cannot be read is left out.

    Attributes:
        values: driver, clocks in MHz, power in W, temperature in degrees C, by name.
        reasons: NVML's bits; see ``THROTTLED_BY``.
    """

    values: dict[str, Any]
    reasons: int = 0


def open_nvml() -> Callable[[], GpuState]:
    """A function that reads the state of the first GPU that CUDA uses.

    Raises:
        RuntimeError: NVML is not installed, has no driver, or does not know the GPU; the text says which.
    """
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    try:
        nvml: Any = importlib.import_module("pynvml")
    except ImportError:
        raise RuntimeError("nvidia-ml-py is not installed") from None
    try:
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(int(chosen) if chosen.isdecimal() else 0)
    except Exception as error:  # NVML has a class for each of its errors
        raise RuntimeError(f"NVML: {error}") from error
    queries: dict[str, Callable[[], Any]] = {
        "driver": lambda: _text(nvml.nvmlSystemGetDriverVersion()),
        "power_limit_w": lambda: nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1000,
        "persistence": lambda: bool(nvml.nvmlDeviceGetPersistenceMode(handle)),
        "sm_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM),
        "sm_mhz_max": lambda: nvml.nvmlDeviceGetMaxClockInfo(handle, nvml.NVML_CLOCK_SM),
        "memory_mhz": lambda: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_MEM),
        "temperature_c": lambda: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU),
        "power_w": lambda: nvml.nvmlDeviceGetPowerUsage(handle) / 1000,
    }

    def read() -> GpuState:
        values: dict[str, Any] = {}
        for name, query in queries.items():
            try:
                values[name] = query()
            except Exception:  # a Jetson's GPU supports few of these
                continue
        try:
            reasons = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        except Exception:
            reasons = 0
        return GpuState(values, reasons)

    return read


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
