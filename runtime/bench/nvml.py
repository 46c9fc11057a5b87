"""An NVIDIA GPU's clocks, power and throttling: by NVML where ``pynvml`` is there, else by ``nvidia-smi``."""

from __future__ import annotations

import importlib
import os
import shutil
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dmdd_edge.runtime.bench.watch import Reason, Seen

#: Bits of NVML's reasons why a clock is lower than it could be that spoil a measurement. An idle GPU and
#: clocks that somebody set are no such reasons.
HELD_BACK = {
    0x04: "its power limit",
    0x08: "a hardware slowdown",
    0x20: "its temperature (software)",
    0x40: "its temperature (hardware)",
    0x80: "the power supply",
}

_FIELDS = {
    "driver": "driver_version",
    "power_limit_w": "power.limit",
    "persistence": "persistence_mode",
    "sm_mhz": "clocks.sm",
    "sm_mhz_max": "clocks.max.sm",
    "memory_mhz": "clocks.mem",
    "temperature_c": "temperature.gpu",
    "power_w": "power.draw",
    "reasons": "clocks_throttle_reasons.active",
}


@dataclass(frozen=True)
class GpuState:
    """A GPU at a moment; what cannot be read is left out.

    Attributes:
        values: driver, clocks in MHz, power in W, temperature in degrees C, by name.
        reasons: NVML's bits.
    """

    values: dict[str, Any]
    reasons: int = 0


class NvidiaWatch:
    """Looks after a GPU; see ``GpuWatch``.

    Args:
        read: its state now, or None.
        often: whether that is fast enough to be asked during a measurement.
    """

    def __init__(self, read: Callable[[], GpuState | None], often: bool) -> None:
        self._read, self._often = read, often
        self._states: list[GpuState] = []

    def start(self) -> None:
        """See ``GpuWatch``."""
        self._states = []
        self._look()

    def sample(self) -> None:
        """See ``GpuWatch``."""
        if self._often:
            self._look()

    def stop(self) -> Seen:
        """See ``GpuWatch``."""
        self._look()
        bits = 0
        for state in self._states:
            bits |= state.reasons
        reasons = [
            Reason(f"the GPU was held back by {what}", f"gpu {bit}")
            for bit, what in HELD_BACK.items()
            if bits & bit
        ]
        facts: dict[str, Any] = {}
        for name in ("sm_mhz", "memory_mhz", "temperature_c", "power_w"):
            found = [state.values[name] for state in self._states if name in state.values]
            if found:
                facts[name] = {"low": min(found), "high": max(found)}
        return Seen(tuple(reasons), facts)

    def facts(self) -> dict[str, Any]:
        """What is set on the GPU: driver, power limit, highest clock."""
        state = self._read()
        kept = ("driver", "power_limit_w", "persistence", "sm_mhz_max")
        return {} if state is None else {name: state.values[name] for name in kept if name in state.values}

    def _look(self) -> None:
        state = self._read()
        if state is not None:
            self._states.append(state)


def open_gpu_watch() -> NvidiaWatch | None:
    """What can look after the first GPU that CUDA shows, or None; never raises."""
    chosen = os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",")[0].strip()
    index = int(chosen) if chosen.isdecimal() else 0
    read = _by_nvml(index)
    if read is not None:
        return NvidiaWatch(read, often=True)
    read = _by_program(index)
    return None if read is None or read() is None else NvidiaWatch(read, often=False)


def _by_nvml(index: int) -> Callable[[], GpuState | None] | None:
    try:
        nvml: Any = importlib.import_module("pynvml")
        nvml.nvmlInit()
        handle = nvml.nvmlDeviceGetHandleByIndex(index)
    except Exception:  # not installed, no driver, no such GPU: each its own exception
        return None
    questions: dict[str, Callable[[], Any]] = {
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
        for name, ask in questions.items():
            try:
                values[name] = ask()
            except Exception:  # a Jetson's GPU answers few of these
                continue
        try:
            reasons = int(nvml.nvmlDeviceGetCurrentClocksThrottleReasons(handle))
        except Exception:
            reasons = 0
        return GpuState(values, reasons)

    return read


def _by_program(index: int) -> Callable[[], GpuState | None] | None:
    program = shutil.which("nvidia-smi")
    if program is None:
        return None
    command = [program, f"--id={index}", f"--query-gpu={','.join(_FIELDS.values())}"]
    command.append("--format=csv,noheader,nounits")

    def read() -> GpuState | None:
        try:
            done = subprocess.run(command, capture_output=True, text=True, timeout=10, check=True)
        except (OSError, subprocess.SubprocessError):
            return None
        return parse_program(done.stdout)

    return read


def parse_program(text: str) -> GpuState | None:
    """Read the line that ``nvidia-smi`` writes for ``_FIELDS``; None when it is none."""
    parts = [part.strip() for part in text.strip().split(",")]
    if len(parts) != len(_FIELDS):
        return None
    answers = dict(zip(_FIELDS, parts, strict=True))
    bits = answers.pop("reasons")
    values: dict[str, Any] = {}
    for name, said in answers.items():
        if said.startswith("["):  # [N/A], [Not Supported]
            continue
        try:
            values[name] = (
                said if name == "driver" else said == "Enabled" if name == "persistence" else float(said)
            )
        except ValueError:
            continue
    return GpuState(values, int(bits, 16) if bits.startswith("0x") else 0)


def _text(value: bytes | str) -> str:
    return value.decode(errors="replace") if isinstance(value, bytes) else value
