"""What the benchmarks share: facts about the machine, versions of what was measured, result files.

A result contains everything needed to repeat it and nothing private: no name of a person or a host.
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

#: `dmdd-edge` run by this Python.
PROGRAM = (sys.executable, "-c", "from dmdd_edge.cli.main import main; main()")

#: Begins the line in which a subprocess reports what it measured.
_MARK = "measured: "

#: Above this share of the cores, other processes were running and the figures of a benchmark mean little.
_BUSY = 0.3


def begin() -> dict[str, Any]:
    """Collect facts about the machine; warn when other processes use it.

    Returns:
        processor, usable cores, memory, system, GPU or None, load average before the start.
    """
    from dmdd_edge.cores import allowed_cores
    from dmdd_edge.runtime.machine import cpu_name

    cores = len(allowed_cores())
    load = os.getloadavg()[0]
    if load > _BUSY * cores:
        print(f"warning: load average {load:.1f}: other processes are running; do not publish these figures.")
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

    facts = gpu_facts()
    return None if facts is None else str(facts)


def versions(names: Sequence[str]) -> dict[str, str]:
    """Installed versions of these distributions and of dmdd-edge."""
    from dmdd_edge.runtime.bench.circumstances import installed

    return installed(["dmdd-edge", *names])


def commit() -> str | None:
    """The measured commit, with the suffix -dirty when files differ from it; None outside a clone."""
    from dmdd_edge.runtime.bench.circumstances import commit

    return commit(ROOT)


def command() -> str:
    """The command, as typed in the repository's root; absolute paths are reduced to their last name."""
    script = Path(sys.argv[0]).resolve()
    shown = script.relative_to(ROOT) if script.is_relative_to(ROOT) else Path(script.name)
    words = (Path(word).name if Path(word).is_absolute() else word for word in sys.argv[1:])
    return shlex.join(["python", str(shown), *words])


def parser(description: str | None, name: str) -> argparse.ArgumentParser:
    """Make a parser with the option that every benchmark has.

    Args:
        description: the script's docstring.
        name: name of the result file, without ``.json``.
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
    """Write a result: date, machine, versions, command, settings and figures.

    Args:
        path: file to write.
        machine: as returned by ``begin``.
        settings: the options that matter.
        figures: the measurements.
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


def keep_option(parser: argparse.ArgumentParser) -> None:
    """Add the option ``--keep`` of a benchmark whose rows are measured one by one."""
    parser.add_argument(
        "--keep", action="store_true", help="keep the rows of the result file that are not measured again"
    )


def merged(
    path: Path, rows: Sequence[dict[str, Any]], names: Sequence[str], figure: str = "runs"
) -> list[dict[str, Any]]:
    """The rows of an earlier result, with those that were measured again in their places.

    Args:
        path: the earlier result, with such rows among its figures.
        rows: new ones, of this commit, which each then names; those that replace none come last.
        names: fields whose values tell which row is replaced.
        figure: the rows' name in the result.
    """

    def key(row: dict[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in names)

    document = json.loads(path.read_text(encoding="utf-8"))
    found = {key(row): {"commit": document["commit"], **row} for row in document["figures"][figure]}
    return list((found | {key(row): {**row, "commit": commit()} for row in rows}).values())


def report_apart(figures: dict[str, Any]) -> None:
    """Print the figures of a subprocess, for ``measure_apart`` to read."""
    print(_MARK + json.dumps(figures))


def measure_apart(script: str, arguments: Iterable[str], what: str) -> dict[str, Any]:
    """Run a script that ends with ``report_apart`` as a subprocess.

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
        sys.exit(f"{what} failed with exit code {done.returncode}.")
    figures: dict[str, Any] = json.loads(marked[-1].removeprefix(_MARK))
    return figures


def spread(values: Sequence[float]) -> dict[str, float]:
    """Median, smallest and largest of some values."""
    return {
        "median": round(statistics.median(values), 4),
        "low": round(min(values), 4),
        "high": round(max(values), 4),
    }


def markdown_table(columns: Sequence[str], lines: Iterable[Sequence[str]], left: int) -> str:
    """Format a Markdown table; the first ``left`` columns are text, the others numbers."""
    rule = ["---" if index < left else "---:" for index in range(len(columns))]
    rows = [columns, rule, *lines]
    return "".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |\n" for line in rows)


def resident_mib(process: int | str = "self", name: str = "VmRSS") -> float:
    """Resident memory of a process in MiB: ``VmRSS`` is the current, ``VmHWM`` the peak value."""
    for line in Path(f"/proc/{process}/status").read_text().splitlines():
        if line.startswith(f"{name}:"):
            return int(line.split()[1]) / 1024
    return float("nan")


def require_not_rotated(model: Any) -> None:
    """End the program for a detector that rotates images: masks would not fit the maps of its networks."""
    if model.alignment is not None:
        sys.exit("The maps are compared as the networks see the images: train the run with --align off.")
