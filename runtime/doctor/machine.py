"""The machine: processor, memory, system, and what a Jetson says about itself."""

from __future__ import annotations

import os
import platform
import re
import shutil
import subprocess
from pathlib import Path

from dmdd_edge.cores import allowed_cores, cpu_quota, usable_cores
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform

_PROC, _CGROUP = Path("/proc"), Path("/sys/fs/cgroup")
_GIB = 1 << 30


def examine_machine(here: Platform) -> list[Finding]:
    """Processor, memory, system; on a Jetson its model and power mode."""
    findings = [_processor(), _memory(), _system()]
    if here.jetson:
        findings.append(_jetson(here))
    return findings


def _processor() -> Finding:
    allowed = len(allowed_cores())
    there, share = os.cpu_count() or allowed, cpu_quota()
    model = _first(_read(_PROC / "cpuinfo"), r"^(?:model name|Model|Hardware)\s*:\s*(.+)$")
    limit = f", limited to the time of {share:g}" if share is not None and share < allowed else ""
    return Finding(
        "machine.processor",
        "processor",
        "ok",
        f"{platform.machine()}{f', {model}' if model else ''}, {allowed} of {there} cores allowed{limit}",
        facts={
            "architecture": platform.machine(),
            "model": model,
            "cores": there,
            "cores_allowed": allowed,
            "cores_quota": share,
            "cores_used": usable_cores(),
        },
    )


def _memory() -> Finding:
    text = _read(_PROC / "meminfo")
    total, free = (_kib(text, name) for name in ("MemTotal", "MemAvailable"))
    written = _read(_CGROUP / "memory.max").strip()
    limit = int(written) if written.isdecimal() else None
    capped = limit is not None and (total is None or limit < total)
    said = f"{_gib(total)}, {_gib(free)} free" + (f", limited to {_gib(limit)}" if capped else "")
    facts = {"bytes": total, "available_bytes": free, "limit_bytes": limit if capped else None}
    return Finding("machine.memory", "memory", "ok", said, facts=facts)


def _system() -> Finding:
    name = _first(_read(Path("/etc/os-release")), r'^PRETTY_NAME="?([^"\n]+)')
    system = name or platform.system()
    container = Path("/.dockerenv").exists() or Path("/run/.containerenv").exists()
    said = f"{system}, kernel {platform.release()}, Python {platform.python_version()}"
    return Finding(
        "machine.system",
        "system",
        "ok",
        said + (", in a container" if container else ""),
        facts={
            "system": system,
            "kernel": platform.release(),
            "python": platform.python_version(),
            "container": container,
        },
    )


def _jetson(here: Platform) -> Finding:
    mode = _power_mode()
    jetpack = f", JetPack {here.jetpack}" if here.jetpack else ""
    return Finding(
        "machine.jetson",
        "Jetson",
        "ok",
        f"{here.jetson}{jetpack}{f', power mode {mode}' if mode else ''}",
        facts={"model": here.jetson, "jetpack": here.jetpack, "power_mode": mode},
    )


def _power_mode() -> str | None:
    """What ``nvpmodel -q`` says; None where there is none."""
    tool = shutil.which("nvpmodel") or shutil.which("nvpmodel", path="/usr/sbin:/sbin")
    if tool is None:
        return None
    try:
        done = subprocess.run(
            [tool, "-q"], capture_output=True, text=True, errors="replace", timeout=5, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return _first(done.stdout, r"^NV Power Mode:\s*(.+)$") or None


def _kib(text: str, name: str) -> int | None:
    found = _first(text, rf"^{name}:\s*(\d+) kB")
    return int(found) * 1024 if found else None


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / _GIB:.1f} GiB"


def _first(text: str, pattern: str) -> str:
    found = re.search(pattern, text, re.MULTILINE)
    return found.group(1).strip() if found else ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
