"""What is known of this machine's GPU: what an engine is bound to, and why there is none to use."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

_KERNEL_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class GpuFacts:
    """One NVIDIA GPU.

    Attributes:
        name: as CUDA gives it, such as ``Orin`` or ``NVIDIA RTX A2000``.
        sm: its compute capability, such as ``sm87``.
        driver: the kernel driver's version, such as ``580.65.06``; of CUDA, where that is not told.
        cuda: the newest CUDA that the driver serves, such as ``13.0``.
        memory: in bytes; shared with the CPU where ``integrated``.
        integrated: whether it shares its memory with the CPU, as on a Jetson.
    """

    name: str
    sm: str
    driver: str
    cuda: str
    memory: int
    integrated: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.sm}, driver {self.driver}, CUDA {self.cuda})"


@dataclass(frozen=True)
class GpuProbe:
    """The result of looking for a GPU: its facts, or the reason why there are none."""

    facts: GpuFacts | None
    reason: str = ""


def probe_gpu(index: int = 0) -> GpuProbe:
    """Look for a GPU through ``cuda-bindings``; never raises, and starts no CUDA context.

    Args:
        index: which one, as CUDA counts.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        return GpuProbe(
            None, f'cuda-bindings cannot be imported ({error}): pip install "dmdd-edge[tensorrt]"'
        )
    status, count = runtime.cudaGetDeviceCount()
    if status != runtime.cudaError_t.cudaSuccess:
        return GpuProbe(None, _reason(runtime.cudaGetErrorString(status)[1], str(status)))
    if index >= count:
        return GpuProbe(None, f"CUDA sees {count} GPUs, so there is none with the index {index}")
    props: runtime.cudaDeviceProp
    status, props = runtime.cudaGetDeviceProperties(index)
    if status != runtime.cudaError_t.cudaSuccess:
        return GpuProbe(None, _reason(runtime.cudaGetErrorString(status)[1], str(status)))
    status, version = runtime.cudaDriverGetVersion()
    cuda = f"{version // 1000}.{version % 1000 // 10}"
    return GpuProbe(
        GpuFacts(
            name=_text(props.name),
            sm=f"sm{props.major}{props.minor}",
            driver=kernel_driver() or f"of CUDA {cuda}",
            cuda=cuda,
            memory=int(props.totalGlobalMem),
            integrated=bool(props.integrated),
        )
    )


def gpu_facts(index: int = 0) -> GpuFacts | None:
    """The facts of a GPU, or None; :func:`probe_gpu` says why."""
    return probe_gpu(index).facts


def _reason(text: bytes | str, status: str) -> str:
    """CUDA's own words, and what they mean where they mislead."""
    said = _text(text) or status
    if "insufficient" in said:  # what CUDA answers where there is no driver at all
        if not _KERNEL_DRIVER.exists():
            return "no NVIDIA driver is loaded on this machine"
        driver = kernel_driver("of an unknown version")
        return f"the NVIDIA driver {driver} is older than cuda-bindings needs ({said})"
    return said


def kernel_driver(unknown: str = "") -> str:
    """The version of the NVIDIA driver that is loaded, such as ``580.65.06``; empty when none is.

    Args:
        unknown: what to say of one that does not tell its version.
    """
    try:
        text = _KERNEL_DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    found = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return found.group(1) if found else unknown


def _text(value: bytes | str) -> str:
    """CUDA's strings come as bytes, padded with zeros in some versions."""
    return value.decode(errors="replace").split("\0")[0].strip() if isinstance(value, bytes) else value
