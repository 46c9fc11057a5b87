"""``dmdd-edge run``: process images, videos, cameras and streams with a bundle."""

from __future__ import annotations

import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dmdd_edge.cli.exit_codes import ANOMALIES_FOUND, INTERRUPTED
from dmdd_edge.cli.expand import add_command
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.options import Option, Options
from dmdd_edge.runtime.options.run import RunOptions

if TYPE_CHECKING:
    from dmdd_edge.runtime.assembly import RunOutcome
    from dmdd_edge.runtime.options.backend import BackendOptions

_LIVE = "Watching a run"


def register(app: typer.Typer) -> None:
    """Add the command to the program."""
    add_command(app, "run", run, RunCommand)


@dataclass(frozen=True, kw_only=True)
class _ReportOptions(Options):
    """What the command prints, and how it ends."""

    quiet: Annotated[
        bool, Option("Print only skipped frames, warnings, errors and the summary.", _LIVE, short="-q")
    ] = False
    verbose: Annotated[
        bool,
        Option(
            "Print the times and regions of each frame, and how other backends could run.", _LIVE, short="-v"
        ),
    ] = False
    fail_on_anomaly: Annotated[
        bool,
        Option(
            "Exit with code 3 when a frame is anomalous or cannot be read or judged, 1 without frames.", _LIVE
        ),
    ] = False
    build_engine: Annotated[bool, Option("First build an engine for this GPU, unless there is one.")] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("quiet", "verbose"),)


@dataclass(frozen=True, kw_only=True)
class RunCommand(JsonOutput, _ReportOptions, RunOptions):
    """The options of ``run``."""


def run(options: RunCommand) -> None:
    """Process images, a video, a folder, a camera or a stream with an exported bundle.

    --json writes one JSON line per frame to standard output, the summary last.
    """
    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.run_report import Report, print_end, print_start
    from dmdd_edge.runtime.assembly import AssembledRun
    from dmdd_edge.runtime.signals import StopRequest

    with (
        StopRequest(hangup=True) as stop,
        AssembledRun(
            options,
            say=console.print,
            stopping=lambda: bool(stop),
            reloading=stop.take_hangup,
            prepare=_build_engine(options),
        ) as assembled,
    ):
        if not options.quiet:
            print_start(assembled.detector, assembled.source.state().detail, options.verbose)
        each = not options.quiet and (options.verbose or not options.json)
        report = Report(each, options.verbose, assembled.total)
        outcome = assembled.process(first=[report], lines=sys.stdout if options.json else None)
    print_end(outcome)
    _exit(outcome, stop.received, options.fail_on_anomaly)


def _build_engine(options: RunCommand) -> Callable[[Path, BackendOptions], None]:
    """What prepares the bundle before it is loaded."""

    def prepare(path: Path, backend_options: BackendOptions) -> None:
        if options.build_engine:
            from dmdd_edge.cli.engine_build import build_missing_engine

            build_missing_engine(path, options.backend, backend_options)

    return prepare


def _exit(outcome: RunOutcome, received: signal.Signals | None, fail_on_anomaly: bool) -> None:
    """End with the exit code that fits the verdict."""
    from dmdd_edge.cli.console import console

    if received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)
    if received is signal.SIGTERM and not fail_on_anomaly:
        return  # how a service is stopped: that is not a failure
    verdict = outcome.verdict
    if verdict.nothing is not None:
        raise verdict.nothing
    if verdict.no_frame is not None and (outcome.live or fail_on_anomaly):
        raise verdict.no_frame
    if fail_on_anomaly:
        if verdict.failed:
            counts = ", ".join(f"{count} {status}" for status, count in verdict.failed.items())
            console.print(f"--fail-on-anomaly: {counts}; exit code {ANOMALIES_FOUND}")
            raise typer.Exit(ANOMALIES_FOUND)
        if verdict.unprocessed is not None:
            raise verdict.unprocessed
    elif outcome.lost and received is None:
        # Frames were judged, and then none came any more: whoever reads only the exit code must know.
        console.print(outcome.lost)
