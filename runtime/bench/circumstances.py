"""The circumstances of a measurement: machine, power mode, versions, but no name of a person or host."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import subprocess
from collections.abc import Iterable
from dataclasses import asdict
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dmdd_edge import _version
from dmdd_edge.cores import allowed_cores, cpu_quota, physical_cores
from dmdd_edge.runtime.bench.interference import NvidiaWatch
from dmdd_edge.runtime.cuda.gpu import probe_gpu
from dmdd_edge.runtime.cuda.nvml import open_nvml
from dmdd_edge.runtime.machine import board_model, cpu_clock, cpu_name, power_mode, read_number, read_text

#: Distributions whose versions can change a figure.
_PACKAGES = (
    "numpy",
    "opencv-python",
    "onnxruntime",
    "onnxruntime-gpu",
    "tensorrt",
    "tensorrt-cu12",
    "tensorrt-cu13",
    "tensorrt-rtx-cu13",
    "cuda-bindings",
    "pycuda",
)


def open_gpu_watch() -> NvidiaWatch | None:
    """The interference watch of the first GPU that CUDA uses; None without NVML. Never raises."""
    try:
        return NvidiaWatch(open_nvml())
    except RuntimeError:
        return None


def circumstances(gpu: NvidiaWatch | None = None, root: Path = Path("/")) -> dict[str, Any]:
    """What one must know to interpret and repeat a figure; what cannot be read is left out.

    Args:
        gpu: as ``open_gpu_watch`` returns it.
        root: of the file system.
    """
    return {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "machine": _machine(root),
        "power": _power(root),
        "gpu": _gpu(gpu, root),
        "load_average_before": round(os.getloadavg()[0], 2),
        "versions": versions(),
        "commit": commit(),
    }


def versions() -> dict[str, str]:
    """Versions of Python, of dmdd-edge and of the installed packages that run a graph."""
    return {"python": platform.python_version(), "dmdd-edge": _version.__version__, **installed(_PACKAGES)}


def installed(names: Iterable[str]) -> dict[str, str]:
    """The versions of those distributions that are installed."""
    by_name = {}
    for name in names:
        try:
            by_name[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return by_name


def commit(clone: Path | None = None) -> str | None:
    """The commit of a clone, marked where files differ from it; None outside a clone.

    Args:
        clone: its folder; None for that of this dmdd-edge.
    """
    clone = clone or Path(_version.__file__).resolve().parents[1]
    if not (clone / ".git").exists():
        return None
    command = ["git", "describe", "--always", "--dirty", "--abbrev=10"]
    try:
        done = subprocess.run(command, cwd=clone, capture_output=True, text=True, timeout=30, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def _machine(root: Path) -> dict[str, Any]:
    facts: dict[str, Any] = {
        "cpu": cpu_name(root),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "cores_allowed": len(allowed_cores()),
        "physical_cores_allowed": physical_cores(),
        "cores_quota": cpu_quota(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
    }
    model = board_model(root)
    return facts if model is None else {"model": model, **facts}


def _power(root: Path) -> dict[str, Any]:
    clock = cpu_clock(root)
    values = {
        "mode": power_mode(),
        "governor": clock.governor,
        "preference": clock.preference,
        "cpu_mhz_max": clock.mhz_max,
        "cpu_mhz_limit": clock.mhz_limit,
    }
    return {name: value for name, value in values.items() if value is not None}


def _gpu(watch: NvidiaWatch | None, root: Path) -> dict[str, Any]:
    probe = probe_gpu()
    facts: dict[str, Any] = {}
    if probe.facts is None:
        facts["none_because"] = probe.reason
    else:
        known = asdict(probe.facts)
        facts |= {name: known[name] for name in ("name", "sm", "driver", "cuda")}
    if watch is not None:
        facts |= watch.facts()
    elif probe.facts is not None:
        facts["unwatched_because"] = _why_unwatched()
    for pattern in ("*gpu*", "*ga10b*"):
        for folder in sorted(root.glob(f"sys/class/devfreq/{pattern}")):
            facts |= _devfreq(folder)
    return facts


def _why_unwatched() -> str:
    try:
        open_nvml()
    except RuntimeError as error:
        return str(error)
    return "no watch was opened"


def _devfreq(folder: Path) -> dict[str, Any]:
    """Clocks in MHz and governor of a Jetson's GPU."""
    clocks = {
        name: read_number(folder / file) for name, file in (("mhz", "cur_freq"), ("mhz_max", "max_freq"))
    }
    values = {name: None if value is None else round(value / 1e6) for name, value in clocks.items()}
    facts: dict[str, Any] = {**values, "governor": read_text(folder / "governor")}
    return {name: value for name, value in facts.items() if value is not None}
