"""What ``dmdd-edge run`` tells a person: a line an image, and the closing table."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rich.table import Table

from dmdd_edge.cli.console import console
from dmdd_edge.images import describe_passed_over

if TYPE_CHECKING:
    from dmdd_edge.cli.run_sinks import OpenSinks
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.frame import BrokenFrame, Frame
    from dmdd_edge.runtime.result import Result
    from dmdd_edge.runtime.summary import Summary

_PARTS = {
    "capture": "reading frames",
    "prepare": "preparing frames",
    "infer": "the graph",
    "write": "writing results",
}
_STYLES = {"good": "green", "anomalous": "bold red", "unreliable": "yellow"}


class Report:
    """A sink that talks to a person on standard error.

    Args:
        each: print a line an image, not only the errors and the closing table.
    """

    def __init__(self, each: bool) -> None:
        self._each = each

    def result(self, frame: Frame, result: Result) -> None:
        """Print the verdict on a frame."""
        if not self._each:
            return
        where = frame.source if frame.source.endswith(frame.name) else f"{frame.source} {frame.name}"
        count = len(result.regions)
        parts = [f"{result.score:.4f}", where]
        if result.reason:
            parts.append(f"({result.reason})")
        elif count:
            parts.append(f"({count} region{'s' * (count != 1)})")
        console.print(f"{result.status:<10}", style=_STYLES[result.status], end=" ")
        console.print("  ".join(parts), markup=False)

    def broken(self, frame: BrokenFrame) -> None:
        """Print why a frame was skipped."""
        console.print(f"{'skipped':<10}", style="yellow", end=" ")
        console.print(frame.error.message, markup=False)

    def summary(self, summary: Summary) -> None:
        """Print the closing table."""
        table = Table(show_header=False, box=None, pad_edge=False)
        judged = f"{summary.good} good, {summary.anomalous} anomalous, {summary.unreliable} unreliable"
        table.add_row("frames", f"{summary.frames}: {judged}")
        if summary.skipped or summary.dropped:
            table.add_row("not judged", f"{summary.skipped} skipped, {summary.dropped} dropped")
        if summary.passed_over:
            table.add_row("passed over", describe_passed_over(summary.passed_over))
        latency = summary.latency_ms
        values = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99}
        shown = [f"{name} {'n/a' if value is None else f'{value:.1f} ms'}" for name, value in values.items()]
        table.add_row("latency", ", ".join(shown))
        if summary.age_ms is not None and summary.age_ms.p50 is not None:
            table.add_row("age", f"p50 {summary.age_ms.p50:.1f} ms from grab to result")
        table.add_row("throughput", f"{summary.throughput:.1f} frames/s on {summary.backend}")
        if summary.frames:
            busy = ", ".join(f"{part} {share:.0%}" for part, share in summary.busy.items())
            table.add_row("slowest part", f"{_PARTS[summary.slowest]} (at work: {busy})")
        console.print(table)

    def close(self) -> None:
        """Nothing is held."""


def print_start(detector: Detector) -> None:
    """Print what is about to run: the bundle, the threshold, the back end and those passed over."""
    bundle, threshold = detector.bundle, detector.threshold
    origin = {
        "option": "given for this run",
        "calibration": "calibrated here",
        "manifest": "set at export",
    }[threshold.origin]
    text = f"{bundle.category} {bundle.version}, threshold {threshold.image:.4f} ({origin})"
    console.print(text, markup=False)
    for passed in detector.passed_over:
        console.print(f"back end {passed.name} passed over: {passed.reason}", markup=False)
    console.print(f"back end {detector.backend.name}: {detector.backend.description}", markup=False)


def print_end(sinks: OpenSinks) -> None:
    """Print what was written; deliveries speak for themselves when they are closed."""
    for what, folder in sinks.folders.items():
        console.print(f"{folder.written} {what} in {folder.folder}", markup=False)
    if sinks.resume is not None:
        console.print(f"{sinks.resume.skipped.total()} frames were done before", markup=False)
