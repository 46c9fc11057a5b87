"""``dmdd-edge drift``: examine results files for drift."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.runtime.options.drift import DriftOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.drift.offline import Examined
    from dmdd_edge.runtime.drift.results_file import Reading


#: The most inspections whose lines are printed, that the answer names, and that the page shows.
_LISTED, _NAMED, _CHARTED = 20, 5, 200


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
    ordered = sorted(examined, key=lambda each: not each.report["warnings"])  # those with a warning first
    if options.report is not None:
        rest = len(ordered) - _CHARTED
        left_out = f" {rest} more inspections are not shown; --json lists them." if rest > 0 else ""
        write_page(options.report, ordered[:_CHARTED], answer, about + left_out)
    if options.json:
        print_json(_document(examined, reading))
        return
    console.print(answer)
    for line in _listed(ordered):
        console.print(line)
    console.print(about)
    if options.report is not None:
        console.print(f"wrote {options.report}")
    else:
        next_step(command("drift", *options.results, report="drift.html"))


def _answer(examined: Sequence[Examined]) -> str:
    from dmdd_edge.runtime.drift.watch import FIRST

    frames = sum(each.frames for each in examined)
    drifted = [each.name for each in examined if each.report["warnings"]]
    if drifted:
        more = f" and {len(drifted) - _NAMED} more" if len(drifted) > _NAMED else ""
        named = f"{', '.join(drifted[:_NAMED])}{more}"
        return f"Drift in {len(drifted)} of {len(examined)} inspections: {named}."
    if not all(each.report["learning"] for each in examined):
        return f"No drift lasts in {frames} frames."
    if not any(each.scored for each in examined):
        return f"None of {frames} frames has a score that is a number: scores cannot be watched."
    if max(each.frames for each in examined) < FIRST:
        return f"Too few frames: the watch learns what is usual from the first {FIRST} frames."
    passed = sum(each.passed for each in examined)
    return (
        f"Too few parts that pass, {passed} in {frames} frames: the watch learns what is usual from {FIRST} "
        "of an inspection, or more where frames are alike."
    )


def _listed(ordered: Sequence[Examined]) -> Iterator[str]:
    """The lines of the inspections; of many the rest is only counted."""
    for each in ordered[:_LISTED]:
        for line in _lines(each):
            yield f"{each.name}: {line}"
    rest = ordered[_LISTED:]
    if rest:
        warned = sum(bool(each.report["warnings"]) for each in rest)
        yield f"{len(rest)} more inspections, {warned} of them with a warning; --json lists them"


def _lines(each: Examined) -> list[str]:
    lines = [warning["message"] for warning in each.report["warnings"]]
    if each.report["fix"]:
        lines.append(each.report["fix"])
    over = sum(event["event"] == "ended" for event in each.events)
    if over:
        lines.append(f"{over} warnings began and ended again.")
    if not each.report["independent"]:
        lines.append("Frames are alike over long stretches; false warnings may be more frequent than stated.")
    if not each.scored:
        lines.append(f"{each.frames} frames, none with a score that is a number.")
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
