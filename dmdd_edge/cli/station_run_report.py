"""What ``dmdd-edge station run`` prints: a line when it is ready, a line per event, the closing table."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Any, TextIO

from rich.table import Table
from rich.text import Text

from dmdd_edge.cli.console import console
from dmdd_edge.cli.run_report import drift_rows
from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLines
from dmdd_edge.runtime.station.assembly import AssembledStation
from dmdd_edge.runtime.station.model import ErrorCode, Missed, PartResult, StationState
from dmdd_edge.runtime.station.parts import missed_line, part_line
from dmdd_edge.runtime.station.recorder import Recorder
from dmdd_edge.runtime.station.summary import StationSummary
from dmdd_edge.runtime.summary import Summary

_STYLES = {
    "pass": "green",
    "good": "yellow",
    "anomalous": "bold red",
    "unreliable": "yellow",
    "suspect": "yellow",
}


class StationReport:
    """A sink of lines that prints on standard error.

    Args:
        each: print a line per part, not only missed triggers and the closing table.
        verbose: add what each inspection found.
    """

    def __init__(self, each: bool, verbose: bool = False) -> None:
        self._each, self._verbose = each, verbose

    def line(self, fields: dict[str, Any]) -> None:
        """Print a part or a missed trigger."""
        if fields["type"] == "missed":
            part = "" if fields["part_id"] is None else f"part {fields['part_id']}  "
            self._print("missed", "yellow", f"{part}{fields['error']} (triggered by {fields['origin']})")
        elif self._each and fields["type"] == "part":
            self._part(fields)

    def _part(self, part: dict[str, Any]) -> None:
        verdict = "pass" if part["passed"] else part["status"]
        found = [f"part {part['part_id']}", f"recipe {part['recipe']}", f"{part['latency_ms']:.0f} ms"]
        if part["late"]:
            found.append("late")
        if verdict != "pass":
            found.append(", ".join(_short(*item) for item in part["inspections"].items() if _bad(item[1])))
        self._print(verdict, _STYLES[verdict], "  ".join(filter(None, found)))
        if self._verbose:
            for name, fields in part["inspections"].items():
                console.print(f"    {_long(name, fields)}")

    def _print(self, what: str, style: str, text: str) -> None:
        console.print(Text.assemble((f"{what:<10}", style), " ", visible(text)))

    def result(self, frame: Frame, result: Result) -> None:
        """Nothing: the part follows."""

    def broken(self, frame: BrokenFrame) -> None:
        """Nothing: the part follows."""

    def summary(self, summary: Summary) -> None:
        """Print the closing table."""
        if not isinstance(summary, StationSummary):
            return
        parts = summary.parts
        table = Table(show_header=False, box=None, pad_edge=False)
        suspect = "" if parts.suspect is None else f"{parts.suspect} suspect, "
        judged = f"{parts.passed} passed, {suspect}{parts.anomalous} anomalous, {parts.unreliable} unreliable"
        late = f", {parts.late} late" if parts.late else ""
        table.add_row("parts", f"{parts.total}: {judged}{late}")
        table.add_row("missed", f"{parts.missed} triggers")
        if len(parts.recipes) > 1:
            counts = ", ".join(f"{number}: {count}" for number, count in parts.recipes.items())
            table.add_row("by recipe", counts)
        for row in drift_rows(summary):
            table.add_row(*row)
        latency = parts.latency_ms
        values = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99}
        shown = [f"{name} {value:.1f} ms" for name, value in values.items() if value is not None]
        table.add_row("latency", ", ".join(shown) or "n/a")
        table.add_row("running", f"{summary.seconds:.0f} s on {summary.backend}")
        console.print(table)

    def close(self) -> None:
        """Nothing to release."""


class Printed:
    """An observer that prints in its own thread: a terminal that does not accept text delays nothing.

    Args:
        report: prints for a person.
        lines: a text stream that receives the JSON lines, such as standard output; None for none.
        say: receives what a person should know.

    Attributes:
        summary: to be printed at the end; None without one.
    """

    def __init__(self, report: StationReport, lines: TextIO | None, say: Callable[[str], None]) -> None:
        machine = [] if lines is None else [JsonLines(lines, FileOptions(live=True, note=say))]
        self._recorder = Recorder([report, *machine], say)
        self.summary: StationSummary | None = None

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        self._recorder.put(part_line(part))

    def missed(self, missed: Missed) -> None:
        """A trigger was refused."""
        self._recorder.put(missed_line(missed))

    def drift(self, line: dict[str, Any]) -> None:
        """The drift watch has an event; its sentences are printed elsewhere."""
        self._recorder.put(line)

    def changed(self, state: StationState) -> None:
        """Nothing: see ``Announcer``."""

    def close(self) -> None:
        """Nothing: the summary comes after this."""

    def __enter__(self) -> Printed:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._recorder.close(self.summary)


class Announcer:
    """An observer that says when the station is ready, and which faults come and go.

    Args:
        station: the station.
        say: receives one line each.
    """

    def __init__(self, station: AssembledStation, say: Callable[[str], None]) -> None:
        self._station, self._say = station, say
        self._start = time.monotonic()
        self._online = False
        self._fault = ErrorCode.NONE

    def part(self, part: PartResult) -> None:
        """Nothing: it is printed elsewhere."""

    def missed(self, missed: Missed) -> None:
        """Nothing: it is printed elsewhere."""

    def changed(self, state: StationState) -> None:
        """Say what is new."""
        if state.online and not self._online:
            self._online = True
            self._say(self._ready(state))
        fault = state.code if state.fault else ErrorCode.NONE
        if fault is not self._fault:
            self._fault = fault
            if fault:
                self._say(f"fault {int(fault)} ({_words(fault)}): {state.message}")
            elif state.online:
                self._say("fault over")

    def close(self) -> None:
        """Nothing to release."""

    def _ready(self, state: StationState) -> str:
        settings, plc = self._station.settings, self._station.plc
        recipes = f"recipe {state.recipe} ({state.recipe_name})"
        if len(settings.recipes) > 1:
            recipes += f" of {len(settings.recipes)}"
        cameras = ", ".join(f"{name} lost" if state.cameras.get(name) else name for name in settings.cameras)
        where = list(() if plc is None else plc.addresses)
        if self._station.outputs.page_url:
            where.append(f"page {self._station.outputs.page_url}")
        if settings.gpio is not None:
            where.append(f"24 V lines of {settings.gpio.chip}")
        word = "READY" if state.ready else "not ready"
        seconds = time.monotonic() - self._start
        return "; ".join([f"{word} after {seconds:.1f} s: {recipes}", f"cameras {cameras}", *where])


def _bad(inspection: dict[str, Any]) -> bool:
    return bool(inspection["status"] != "good")


def _short(name: str, inspection: dict[str, Any]) -> str:
    if "error" in inspection:
        return f"{name}: {inspection['error']}"
    count = len(inspection["regions"])
    regions = f", {count} region{'s' * (count != 1)}" if count else ""
    reason = f", {inspection['reason']}" if inspection.get("reason") else ""
    return f"{name} {_score(inspection)}{regions}{reason}"


def _long(name: str, inspection: dict[str, Any]) -> str:
    if "error" in inspection:
        return f"{name}: {inspection['error']}"
    times = ", ".join(f"{stage} {value:.1f}" for stage, value in inspection["timings_ms"].items())
    limit = f"threshold {inspection['threshold']:.4f}"
    return f"{_short(name, inspection)}, {inspection['status']}, {limit}; ms: {times}"


def _score(inspection: dict[str, Any]) -> str:
    score = inspection["score"]
    return "n/a" if score is None else f"{score:.4f}"


def _words(code: ErrorCode) -> str:
    return code.name.lower().replace("_", " ")
