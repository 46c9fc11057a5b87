"""The machine: processor, memory, system, and a Jetson's model and power mode."""

from __future__ import annotations

import os
import platform
import re
from pathlib import Path

from dmdd_edge.cores import allowed_cores, cpu_quota, usable_cores
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.doctor.install import Platform
from dmdd_edge.runtime.machine import cpu_name, int8_instructions, memory, power_mode, read_text

_ROOT = Path("/")
_GIB = 1 << 30


def examine_machine(target: Platform, root: Path = _ROOT) -> list[Finding]:
    """Processor, its INT8 instructions, memory, system; on a Jetson its model and power mode.

    Args:
        target: this machine's platform.
        root: of the file system.
    """
    findings = [_processor(root), _int8(root), _memory(root), _system(root)]
    if target.jetson:
        findings.append(_jetson(target))
    return findings


def _processor(root: Path) -> Finding:
    allowed = len(allowed_cores())
    total, quota = os.cpu_count() or allowed, cpu_quota()
    architecture, name = platform.machine(), cpu_name(root)
    model = "" if name == architecture else name
    limit = f", limited to {quota:g} cores' time" if quota is not None and quota < allowed else ""
    return Finding(
        "machine.processor",
        "processor",
        "ok",
        f"{architecture}{f', {model}' if model else ''}, {allowed} of {total} cores allowed{limit}",
        facts={
            "architecture": architecture,
            "model": model,
            "cores": total,
            "cores_allowed": allowed,
            "cores_quota": quota,
            "cores_used": usable_cores(),
        },
    )


def _int8(root: Path) -> Finding:
    """Whether the processor has instructions for INT8. That is necessary for speed there, not sufficient."""
    found = int8_instructions(root)
    if found is None:
        detail = "unknown: the system does not list the processor's instructions"
    elif found:
        detail = f"{', '.join(found)}; whether INT8 is faster, bench --compare measures"
    else:
        detail = "no VNNI, AMX or dot product: --backend cpu --precision int8 shows accuracy, not speed"
    facts = {"instructions": found}
    return Finding("machine.int8", "INT8 on the processor", "ok", detail, facts=facts)


def _memory(root: Path) -> Finding:
    size = memory(root)
    detail = f"{_gib(size.total)}, {_gib(size.available)} free"
    if size.limit is not None:
        detail += f", limited to {_gib(size.limit)}"
    facts = {"bytes": size.total, "available_bytes": size.available, "limit_bytes": size.limit}
    return Finding("machine.memory", "memory", "ok", detail, facts=facts)


def _system(root: Path) -> Finding:
    release = re.search(r'^PRETTY_NAME="?([^"\n]+)', read_text(root / "etc/os-release") or "", re.MULTILINE)
    system = release.group(1).strip() if release else platform.system()
    container = (root / ".dockerenv").exists() or (root / "run/.containerenv").exists()
    detail = f"{system}, kernel {platform.release()}, Python {platform.python_version()}"
    return Finding(
        "machine.system",
        "system",
        "ok",
        detail + (", in a container" if container else ""),
        facts={
            "system": system,
            "kernel": platform.release(),
            "python": platform.python_version(),
            "container": container,
        },
    )


def _jetson(target: Platform) -> Finding:
    mode = power_mode()
    jetpack = f", JetPack {target.jetpack}" if target.jetpack else ""
    l4t = f", Linux for Tegra {target.l4t}" if target.l4t else ""
    return Finding(
        "machine.jetson",
        "Jetson",
        "ok",
        f"{target.jetson}{jetpack}{l4t}{f', power mode {mode}' if mode else ''}",
        facts={"model": target.jetson, "jetpack": target.jetpack, "l4t": target.l4t, "power_mode": mode},
    )


def _gib(size: int | None) -> str:
    return "unknown" if size is None else f"{size / _GIB:.1f} GiB"
