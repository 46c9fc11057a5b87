"""Facts about this machine's GPU, which an engine is bound to, or why there is no usable GPU."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.extras import install_command

_KERNEL_DRIVER = Path("/proc/driver/nvidia/version")


@dataclass(frozen=True)
class GpuFacts:
    """One NVIDIA GPU.

    Attributes:
        name: from CUDA, such as ``Orin`` or ``NVIDIA RTX A2000``.
        sm: its compute capability, such as ``sm87``.
        driver: the kernel driver's version, such as ``580.65.06``; that of CUDA, where it is unknown.
        cuda: the newest CUDA that the driver supports, such as ``13.0``.
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
    """The result of probing for a GPU: its facts, or the reason without them."""

    facts: GpuFacts | None
    reason: str = ""


def probe_gpu(index: int = 0) -> GpuProbe:
    """Probe for a GPU through ``cuda-bindings``; never raises, and does not start a CUDA context.

    Args:
        index: CUDA's index of the GPU.
    """
    try:
        from cuda.bindings import runtime
    except ImportError as error:
        return GpuProbe(None, f"cannot import cuda-bindings ({error}): {install_command('tensorrt')}")
    status, count = runtime.cudaGetDeviceCount()
    if status != runtime.cudaError_t.cudaSuccess:
        return GpuProbe(None, _reason(runtime.cudaGetErrorString(status)[1], str(status)))
    if index >= count:
        return GpuProbe(None, f"no GPU has the index {index}; CUDA sees {count}")
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
    """The facts of a GPU, or None; :func:`probe_gpu` gives the reason."""
    return probe_gpu(index).facts


def _reason(text: bytes | str, status: str) -> str:
    """CUDA's own message, or its meaning where it misleads."""
    message = _text(text) or status
    if "insufficient" in message:  # CUDA's message also without any driver
        if not _KERNEL_DRIVER.exists():
            return "no NVIDIA driver is loaded on this machine"
        driver = kernel_driver("of an unknown version")
        return f"the NVIDIA driver {driver} is older than cuda-bindings needs ({message})"
    return message


def kernel_driver(unknown: str = "") -> str:
    """The version of the loaded NVIDIA driver, such as ``580.65.06``; empty without one.

    Args:
        unknown: returned for a driver without a readable version.
    """
    try:
        text = _KERNEL_DRIVER.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
    match = re.search(r"\b(\d{3,}\.\d+(?:\.\d+)?)\b", text)
    return match.group(1) if match else unknown


def _text(value: bytes | str) -> str:
    """Decode CUDA's strings, which are bytes, padded with zeros in some versions."""
    return value.decode(errors="replace").split("\0")[0].strip() if isinstance(value, bytes) else value
