"""``dmdd-edge drift``: examine results files for drift."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.runtime.options.drift import DriftOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.drift.offline import Examined
    from dmdd_edge.runtime.drift.results_file import Reading


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "drift", drift, DriftCommand)


@dataclass(frozen=True, kw_only=True)
class DriftCommand(JsonOutput, DriftOptions):
    """The options of ``drift``."""


def drift(options: DriftCommand) -> None:
    """Find drift in the results of a run or a station: since when, which camera, the light or the part.

    A run and a station watch for drift by themselves; this looks at what they wrote, also without a bundle.
    """
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.messages.commands import command
    from dmdd_edge.runtime.drift.offline import examine
    from dmdd_edge.runtime.drift.page import write_page

    examined, reading = examine(options.results, options.drift_frames)
    answer, about = _answer(examined), _about(options, reading)
    if options.report is not None:
        write_page(options.report, examined, answer, about)
    if options.json:
        print_json(_document(examined, reading))
        return
    console.print(answer)
    for each in examined:
        for line in _lines(each):
            console.print(f"{each.name}: {line}")
    console.print(about)
    if options.report is not None:
        console.print(f"wrote {options.report}")
    else:
        next_step(command("drift", *options.results, report="drift.html"))


def _answer(examined: Sequence[Examined]) -> str:
    from dmdd_edge.runtime.drift.watch import FIRST

    drifted = [each.name for each in examined if each.report["warnings"]]
    if drifted:
        return f"Drift in {len(drifted)} of {len(examined)} inspections: {', '.join(drifted)}."
    if all(each.report["learning"] for each in examined):
        return f"Too few frames: the watch learns what is usual from the first {FIRST} frames."
    return f"No drift lasts in {sum(each.frames for each in examined)} frames."


def _lines(each: Examined) -> list[str]:
    lines = [warning["message"] for warning in each.report["warnings"]]
    if each.report["fix"]:
        lines.append(each.report["fix"])
    over = sum(event["event"] == "ended" for event in each.events)
    if over:
        lines.append(f"{over} warnings began and ended again.")
    if not each.report["independent"]:
        lines.append("Frames are alike over long stretches; false warnings may be more frequent than stated.")
    return lines or [f"{each.frames} frames, no warning."]


def _about(options: DriftOptions, reading: Reading) -> str:
    parts = [f"{reading.lines} lines", f"{reading.errors} frames without a result"]
    if reading.unreadable:
        parts.append(f"{reading.unreadable} lines that cannot be read")
    often = f"one false warning in {options.drift_frames} frames of an inspection, on average"
    return f"{', '.join(parts)}; {often}."


def _document(examined: Sequence[Examined], reading: Reading) -> dict[str, Any]:
    return {
        "drift": any(each.report["warnings"] for each in examined),
        "inspections": {each.name: each.to_json() for each in examined},
        "lines": reading.lines,
        "unreadable": reading.unreadable,
        "errors": reading.errors,
    }
