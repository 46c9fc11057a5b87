"""What the benchmarks share: facts about the machine, versions of what was measured, writing a result.

A result names everything needed to judge and repeat it, and nothing that identifies a person or a host.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import statistics
import subprocess
import sys
from collections.abc import Iterable, Sequence
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"

#: The backbones whose graphs are published.
BACKBONES = ("efficientnet_lite0", "resnet18", "wide_resnet50_2")

#: `dmdd-edge` as a process of this Python.
PROGRAM = (sys.executable, "-c", "from dmdd_edge.cli.main import main; main()")

#: Begins the line by which a process of its own hands back what it measured.
_MARK = "measured: "

#: Above this share of the cores, others were at work and the figures of a benchmark mean little.
_BUSY = 0.3


def begin() -> dict[str, Any]:
    """What a benchmark starts with: facts about the machine, and a warning when others are at work on it.

    Returns:
        processor, cores that this process may use, memory, system, GPU if any, load average before the start.
    """
    from dmdd_edge.cores import allowed_cores
    from dmdd_edge.runtime.machine import cpu_name

    cores = len(allowed_cores())
    load = os.getloadavg()[0]
    if load > _BUSY * cores:
        print(
            f"warning: load average {load:.1f}: others use this machine, these figures are not for publishing"
        )
    return {
        "cpu": cpu_name(),
        "logical_cores": cores,
        "memory_gib": round(os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30, 1),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "gpu": _gpu_name(),
        "load_average_before": round(load, 2),
    }


def _gpu_name() -> str | None:
    from dmdd_edge.runtime.cuda.gpu import gpu_facts

    found = gpu_facts()
    return None if found is None else str(found)


def versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions of these distributions, dmdd-edge always among them."""
    from dmdd_edge.runtime.bench.circumstances import installed

    return installed(["dmdd-edge", *names])


def commit() -> str | None:
    """The commit that was measured, with a mark when files differ from it; None outside a clone."""
    from dmdd_edge.runtime.bench.circumstances import commit

    return commit(ROOT)


def command() -> str:
    """The command that was given, as it is typed from the repository's root; of whole paths the last name."""
    script = Path(sys.argv[0]).resolve()
    shown = script.relative_to(ROOT) if script.is_relative_to(ROOT) else Path(script.name)
    words = (Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])
    return shlex.join(["python", str(shown), *words])


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """A parser with the option that every benchmark has.

    Args:
        description: the script's docstring.
        name: of the result's file, without ``.json``.
    """
    made = argparse.ArgumentParser(description=(description or "").splitlines()[0])
    made.add_argument(
        "--out", type=Path, default=RESULTS / f"{name}.json", help="result file (default: %(default)s)"
    )
    return made


def write_result(
    path: Path,
    machine: dict[str, Any],
    settings: dict[str, Any],
    figures: dict[str, Any],
    names: Sequence[str],
) -> None:
    """Write a result: when, where, with what, by which command, and the figures.

    Args:
        path: file to write.
        machine: as ``begin`` gave it.
        settings: what was chosen.
        figures: what came out.
        names: distributions whose versions matter.
    """
    document = {
        "date": datetime.now(timezone.utc).strftime("%Y-%m-%d"),
        "commit": commit(),
        "command": command(),
        "machine": machine,
        "versions": versions(names),
        "settings": settings,
        "figures": figures,
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    print(f"wrote {path.relative_to(ROOT) if path.is_relative_to(ROOT) else path}")


def hand_back(found: dict[str, Any]) -> None:
    """Print what was measured in a process of its own, for ``measure_apart`` to read."""
    print(_MARK + json.dumps(found))


def measure_apart(script: str, arguments: Iterable[str], what: str) -> dict[str, Any]:
    """Run a script that ends with ``hand_back`` in a process of its own.

    Exits with a message when it fails.

    Args:
        script: its file.
        arguments: its command line.
        what: names the measurement in that message.
    """
    done = subprocess.run(
        [sys.executable, script, *arguments], stdout=subprocess.PIPE, text=True, check=False
    )
    marked = [line for line in done.stdout.splitlines() if line.startswith(_MARK)]
    if done.returncode or not marked:
        sys.exit(f"{what} failed with exit code {done.returncode}")
    found: dict[str, Any] = json.loads(marked[-1].removeprefix(_MARK))
    return found


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest of some values."""
    return {
        "median": round(statistics.median(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
    }


def markdown_table(columns: Sequence[str], lines: Iterable[Sequence[str]], left: int) -> str:
    """A Markdown table; the first ``left`` columns are text, the others numbers."""
    rule = ["---" if index < left else "---:" for index in range(len(columns))]
    drawn = [columns, rule, *lines]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in drawn)


def resident_mib(process: int | str = "self", name: str = "VmRSS") -> float:
    """Resident memory of a process in MiB: ``VmRSS`` now, ``VmHWM`` the highest so far."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return float("nan")
