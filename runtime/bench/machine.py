"""The circumstances of a measurement: machine, power mode, versions; nothing names a person or a host."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import subprocess
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

from dmdd_edge import _version
from dmdd_edge.cores import allowed_cores, cpu_quota, physical_cores
from dmdd_edge.runtime.bench.nvml import NvidiaWatch
from dmdd_edge.runtime.bench.watch import read_text
from dmdd_edge.runtime.cuda.gpu import probe_gpu

#: Distributions whose versions can move a figure.
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


def circumstances(gpu: NvidiaWatch | None = None, root: Path = Path("/")) -> dict[str, Any]:
    """What must be known to judge and repeat a figure; what cannot be read is left out.

    Args:
        gpu: looks after the GPU, if one is there.
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
    """Versions of Python, of dmdd-edge and of what runs a graph; only what is installed."""
    return {"python": platform.python_version(), "dmdd-edge": _version.__version__, **installed(_PACKAGES)}


def installed(names: Iterable[str]) -> dict[str, str]:
    """The versions of those distributions that are installed."""
    found = {}
    for name in names:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def commit(clone: Path | None = None) -> str | None:
    """The commit of a clone, marked where files differ from it; None where it is none.

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


def cpu_name(root: Path = Path("/")) -> str:
    """The processor's name; the architecture where it has none."""
    for line in (read_text(root / "proc/cpuinfo") or "").splitlines():
        if line.startswith(("model name", "Model")):
            return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def _machine(root: Path) -> dict[str, Any]:
    found: dict[str, Any] = {
        "cpu": cpu_name(root),
        "architecture": platform.machine(),
        "system": platform.system(),
        "cores": os.cpu_count(),
        "cores_allowed": len(allowed_cores()),
        "physical_cores_allowed": physical_cores(),
        "cores_quota": cpu_quota(),
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
    }
    model = read_text(root / "proc/device-tree/model")  # boards, such as a Jetson, say what they are
    return found if model is None else {"model": model, **found}


def _power(root: Path) -> dict[str, Any]:
    cpufreq = root / "sys/devices/system/cpu" / f"cpu{min(allowed_cores())}" / "cpufreq"
    values = {
        "mode": _nvpmodel(),
        "governor": read_text(cpufreq / "scaling_governor"),
        "preference": read_text(cpufreq / "energy_performance_preference"),
        "cpu_mhz_max": _mega(read_text(cpufreq / "cpuinfo_max_freq"), 1e3),  # what the hardware can
        "cpu_mhz_limit": _mega(read_text(cpufreq / "scaling_max_freq"), 1e3),  # what the policy allows now
    }
    return {name: value for name, value in values.items() if value is not None}


def _gpu(watch: NvidiaWatch | None, root: Path) -> dict[str, Any]:
    probe = probe_gpu()
    found: dict[str, Any] = {}
    if probe.facts is None:
        found["none_because"] = probe.reason
    else:
        facts = probe.facts
        found |= {"name": facts.name, "sm": facts.sm, "driver": facts.driver, "cuda": facts.cuda}
    if watch is not None:
        found |= watch.facts()
    for folder in sorted(root.glob("sys/class/devfreq/*gpu*")) + sorted(
        root.glob("sys/class/devfreq/*ga10b*")
    ):
        found |= {
            name: value
            for name, file in {"mhz": "cur_freq", "mhz_max": "max_freq", "governor": "governor"}.items()
            if (value := _mega(read_text(folder / file), 1e6)) is not None
        }
    return found


def _nvpmodel() -> str | None:
    """A Jetson's power mode, as ``nvpmodel`` names it."""
    program = shutil.which("nvpmodel")
    if program is None:
        return None
    try:
        done = subprocess.run([program, "-q"], capture_output=True, text=True, timeout=10, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    for line in done.stdout.splitlines():
        if "Power Mode" in line:
            return line.rpartition(":")[2].strip()
    return None


def _mega(text: str | None, unit: float) -> float | str | None:
    """A number in millions of ``1 / unit``; a text that is none as it is."""
    try:
        return None if text is None else round(float(text) / unit)
    except ValueError:
        return text
