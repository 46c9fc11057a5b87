"""What ``dmdd-edge run`` prints: a line per frame, and the closing table."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import PurePath
from typing import TYPE_CHECKING

from rich.table import Table
from rich.text import Text

from dmdd_edge.cli.console import console, next_step
from dmdd_edge.data.images import describe_passed_over
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import visible

if TYPE_CHECKING:
    from dmdd_edge.bundle.rule import EffectiveThreshold
    from dmdd_edge.runtime.archive.sink import ArchiveSink
    from dmdd_edge.runtime.assembly import RunOutcome
    from dmdd_edge.runtime.detector import Detector
    from dmdd_edge.runtime.frame import BrokenFrame, Frame
    from dmdd_edge.runtime.result import Result
    from dmdd_edge.runtime.summary import Summary

_PARTS = {
    "capture": "reading frames",
    "prepare": "preparing frames",
    "infer": "inference",
    "write": "writing results",
}
_STYLES = {
    "good": "green",
    "suspect": "yellow",
    "anomalous": "bold red",
    "unreliable": "yellow",
    "skipped": "yellow",
}


class Report:
    """A sink that prints on standard error.

    Args:
        each: print a line per frame, not only the errors and the closing table.
        verbose: add to each line the threshold, the times and the regions.
        total: how many frames there will be; None when that is not known.
    """

    def __init__(self, each: bool, verbose: bool = False, total: int | None = None) -> None:
        self._each, self._verbose, self._total = each, verbose, total

    def result(self, frame: Frame, result: Result) -> None:
        """Print the verdict on a frame."""
        if not self._each:
            return
        # The name of a camera's or a video's frame says which it is; that of an image ends its path.
        same = PurePath(frame.source).name == PurePath(frame.name).name
        parts = [
            f"{result.score:.4f}",
            frame.source if same else f"{frame.source} {PurePath(frame.name).name}",
        ]
        count = len(result.regions)
        if result.reason:
            parts.append(f"({result.reason})")
        elif count:
            parts.append(f"({count} region{'s' * (count != 1)})")
        if result.stopped_early:
            parts.append(f"(ended after {100 * result.inspected:.0f} % of the tiles)")
        if self._verbose:
            times = ", ".join(f"{name} {value:.1f}" for name, value in result.to_json()["timings_ms"].items())
            parts.append(f"threshold {result.threshold:.4f}; ms: {times}")
        self._print(frame.index, result.status, "  ".join(parts))
        if self._verbose:
            for region in result.regions:
                box = f"{region.width} x {region.height} px at {region.x}, {region.y}"
                size = "" if region.area_mm2 is None else f" = {region.area_mm2:.4g} mm2"
                console.print(f"    region {box}, {region.area} px{size}, peak {region.peak:.4f}")

    def broken(self, frame: BrokenFrame) -> None:
        """Print why a frame was skipped."""
        message = frame.error.message
        if PurePath(frame.source).name not in message:
            message = f"{frame.source}: {message}"
        self._print(frame.index, "skipped", message)

    def _print(self, index: int, status: str, text: str) -> None:
        number = ""
        if self._total is not None and 1 < self._total > index:
            number = f"{index + 1:>{len(str(self._total))}}/{self._total}  "
        # A file's name may contain a line break, and a frame has one line.
        console.print(Text.assemble(number, (f"{status:<10}", _STYLES[status]), " ", visible(text)))

    def summary(self, summary: Summary) -> None:
        """Print the closing table."""
        table = Table(show_header=False, box=None, pad_edge=False)
        suspect = "" if summary.suspect is None else f"{summary.suspect} suspect, "
        bad = f"{suspect}{summary.anomalous} anomalous, {summary.unreliable} unreliable"
        table.add_row("frames", f"{summary.frames}: {summary.good} good, {bad}")
        if summary.skipped or summary.dropped:
            table.add_row("not judged", f"{summary.skipped} skipped, {summary.dropped} dropped")
        if summary.passed_over:
            table.add_row("passed over", describe_passed_over(summary.passed_over))
        if summary.gaps is not None:
            table.add_row("web", f"{summary.gaps} gaps" if summary.gaps else "without gaps")
        latency = summary.latency_ms
        values = {"p50": latency.p50, "p90": latency.p90, "p99": latency.p99}
        shown = [f"{name} {'n/a' if value is None else f'{value:.1f} ms'}" for name, value in values.items()]
        for row in drift_rows(summary):
            table.add_row(*row)
        table.add_row("latency", ", ".join(shown))
        if summary.age_ms is not None and summary.age_ms.p50 is not None:
            table.add_row("age", f"p50 {summary.age_ms.p50:.1f} ms from grab to result")
        table.add_row("throughput", f"{summary.throughput:.1f} frames/s on {summary.backend}")
        if summary.frames:
            from dmdd_edge.runtime.summary import threads

            # What one thread does in turn is a sum: the thread is the bottleneck when that is near 100 %.
            busy = ", ".join(
                " + ".join(f"{part} {summary.busy[part]:.0%}" for part in parts)
                for parts in threads(live=summary.age_ms is not None)
            )
            table.add_row("bottleneck", f"{_PARTS[summary.slowest]} (busy: {busy})")
        console.print(table)

    def close(self) -> None:
        """Nothing to release."""


def drift_rows(summary: Summary) -> Iterator[tuple[str, str]]:
    """The rows of the closing table about drift: what lasts, or that nothing does; none for a short run."""
    several = len(summary.drift) > 1
    for name, report in summary.drift.items():
        head = f"drift {name}" if several else "drift"
        for warning in report["warnings"]:
            yield head, warning["message"]
        if not report["warnings"] and not report["learning"]:
            yield head, f"none in {report['frames']} frames"


def print_start(detector: Detector, camera: str, verbose: bool = False) -> None:
    """Print what is about to run: bundle, threshold, backend and camera, and the backends that cannot run.

    Args:
        detector: runs the bundle.
        camera: what the camera was found to be set to; empty for other sources.
        verbose: add where the bundle is, and how each backend that cannot run could.
    """
    bundle, threshold = detector.bundle, detector.threshold
    origin = threshold.origin_in_words
    console.print(f"{bundle.category} {bundle.version}, threshold {threshold.image:.4f} ({origin})")
    for line in _band_and_gate(threshold):
        console.print(line)
    if verbose:
        console.print(f"bundle: {bundle.path}")
    console.print(f"backend {detector.backend.name}: {detector.backend.description}")
    if verbose:
        for passed in detector.passed_over:
            console.print(f"backend {passed.name} unavailable: {passed.reason} {passed.fix}".rstrip())
    elif detector.passed_over:
        reasons = [f"{passed.name} ({passed.reason.rstrip('.')})" for passed in detector.passed_over]
        console.print(f"backends unavailable: {', '.join(reasons)}")
    if camera:
        console.print(f"camera: {camera}")


def _band_and_gate(threshold: EffectiveThreshold) -> Iterator[str]:
    """Lines about what decides besides the threshold; none without a band and a smallest area."""
    if threshold.has_band:
        yield f"suspect: scores above {threshold.suspect:.4f}, up to the threshold"
    elif threshold.suspect is not None:
        yield f"no part is suspect: the threshold is not above the lower one, {threshold.suspect:.4f}"
    elif threshold.suspect_as == "anomalous":
        yield "suspect parts count as anomalous: where there is a band, its lower threshold decides"
    elif threshold.suspect_as == "good":
        yield "suspect parts count as good"
    if threshold.gate:
        yield f"smallest region: {threshold.gate.describe()}"


def print_end(outcome: RunOutcome) -> None:
    """Print what was written; deliveries report by themselves when they are closed."""
    for what, path, count in outcome.written:
        console.print(f"{count} {what} in {path}")
    if outcome.resumed is not None:
        console.print(f"{outcome.resumed} frames were already done")
    drift = _drift_command(outcome)
    if outcome.archive is not None:
        if drift:
            console.print(f"drift, since when and why: {drift}")
        print_archive(outcome.archive)
    elif drift:
        next_step(drift)


def _drift_command(outcome: RunOutcome) -> str:
    """What examines the results file, once the watch knows what is usual; empty for a short run."""
    known = any(not report["learning"] for report in outcome.summary.drift.values())
    files = [path for what, path, _ in outcome.written if what == "lines"]
    return command("drift", files[0], report="drift.html") if known and files else ""


def print_archive(archive: ArchiveSink) -> None:
    """Print what an archive has kept, and how to look at it."""
    kept = ", ".join(f"{count} {reason}" for reason, count in sorted(archive.kept.items()))
    console.print(f"{sum(archive.kept.values())} images kept in {archive.path}{f': {kept}' if kept else ''}")
    if kept:
        next_step(command("review", archive.path))
