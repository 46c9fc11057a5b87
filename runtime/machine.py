"""Facts about the machine: processor, memory, clocks, power mode. How many cores to use: ``cores``."""

from __future__ import annotations

import platform
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.cores import allowed_cores

_ROOT = Path("/")


@dataclass(frozen=True)
class Memory:
    """Main memory in bytes; None where it cannot be read.

    Attributes:
        total, available: of the machine.
        limit: of the control group, where it is below ``total``.
    """

    total: int | None
    available: int | None
    limit: int | None


@dataclass(frozen=True)
class CpuClock:
    """How the processor's clock is set; None where it cannot be read.

    Attributes:
        governor: frequency governor.
        preference: energy-performance preference.
        mhz_max: highest clock of the hardware.
        mhz_limit: highest clock that the policy in force allows.
    """

    governor: str | None
    preference: str | None
    mhz_max: int | None
    mhz_limit: int | None


def cpu_name(root: Path = _ROOT) -> str:
    """The processor's name; the architecture where the system does not name it."""
    name = _match(read_text(root / "proc/cpuinfo"), r"^(?:model name|Model|Hardware)\s*:\s*(.+)$")
    return name or platform.processor() or platform.machine()


#: Flags of the processor -> instructions that multiply INT8 numbers and sum the products: of x86-64, of Arm.
_INT8_FLAGS = {
    "avx512_vnni": "AVX-512 VNNI",
    "avx_vnni": "AVX-VNNI",
    "avx_vnni_int8": "AVX-VNNI-INT8",
    "amx_int8": "AMX",
    "asimddp": "SDOT",
    "i8mm": "I8MM",
}


def int8_instructions(root: Path = _ROOT) -> list[str] | None:
    """The processor's instructions for INT8, such as ``AVX-512 VNNI``; None where they are not listed."""
    flags = _match(read_text(root / "proc/cpuinfo"), r"^(?:flags|Features)\s*:\s*(.+)$")
    if not flags:
        return None
    known = set(flags.split())
    return [name for flag, name in _INT8_FLAGS.items() if flag in known]


def board_model(root: Path = _ROOT) -> str | None:
    """The board's model from the device tree, such as a Jetson's; None without a device tree."""
    return read_text(root / "proc/device-tree/model")


def memory(root: Path = _ROOT) -> Memory:
    """Main memory, and the limit of a container."""
    info = read_text(root / "proc/meminfo")
    total, available = (_match(info, rf"^{name}:\s*(\d+) kB") for name in ("MemTotal", "MemAvailable"))
    in_bytes = int(total) * 1024 if total else None
    limit = read_number(root / "sys/fs/cgroup/memory.max")
    limited = limit is not None and (in_bytes is None or limit < in_bytes)
    return Memory(
        total=in_bytes,
        available=int(available) * 1024 if available else None,
        limit=int(limit) if limit is not None and limited else None,
    )


def cpu_clock(root: Path = _ROOT) -> CpuClock:
    """The clock settings of the first core that this process may use."""
    folder = root / "sys/devices/system/cpu" / f"cpu{min(allowed_cores())}" / "cpufreq"
    highest, limit = (read_number(folder / name) for name in ("cpuinfo_max_freq", "scaling_max_freq"))
    return CpuClock(
        governor=read_text(folder / "scaling_governor"),
        preference=read_text(folder / "energy_performance_preference"),
        mhz_max=None if highest is None else round(highest / 1000),
        mhz_limit=None if limit is None else round(limit / 1000),
    )


def power_mode() -> str | None:
    """A Jetson's power mode, as ``nvpmodel -q`` names it; None on other machines."""
    tool = shutil.which("nvpmodel") or shutil.which("nvpmodel", path="/usr/sbin:/sbin")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, "-q"], capture_output=True, text=True, errors="replace", timeout=5, check=True
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return _match(done.stdout, r"^NV Power Mode:\s*(.+)$") or None


def read_text(path: Path) -> str | None:
    """A small file's text without white space and NUL at its ends; None if empty or unreadable."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip().strip("\0") or None
    except OSError:
        return None


def read_number(path: Path) -> float | None:
    """A small file's number; None if it holds none or is unreadable."""
    text = read_text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None


def _match(text: str | None, pattern: str) -> str:
    match = re.search(pattern, text or "", re.MULTILINE)
    return match.group(1).strip() if match else ""
