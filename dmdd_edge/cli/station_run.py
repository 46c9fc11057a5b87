"""``dmdd-edge station run``: run a station until it is stopped."""

from __future__ import annotations

import signal
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.options import Option, Options

if TYPE_CHECKING:
    from dmdd_edge.runtime.signals import StopRequest

#: Seconds in which a repeated SIGTERM is the same request; later it ends the station at once.
ONE_SIGNAL = 2.0


@dataclass(frozen=True, kw_only=True)
class RunStationOptions(JsonOutput, Options):
    """Which station runs, and what is printed."""

    file: Annotated[Path, Option("Station file, such as line1.toml.", argument=True)]
    quiet: Annotated[
        bool, Option("Print no line per part, only missed triggers, faults and the summary.", short="-q")
    ] = False
    verbose: Annotated[bool, Option("Print what each inspection found.", short="-v")] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("quiet", "verbose"),)


def run(options: RunStationOptions) -> None:
    """Run a station until it is stopped: open its cameras, recipes, ports and lines, and inspect parts.

    A camera, a PLC or a network that is lost is a fault, and the station continues when it is back. Ctrl-C or
    SIGTERM ends it after the parts that were accepted; SIGHUP loads the bundles again. --json writes one JSON
    line per part and per missed trigger to standard output, the summary last.
    """
    from dmdd_edge.runtime.signals import StopRequest

    # First of all: what follows takes seconds, and a signal meanwhile must not kill.
    with StopRequest(hangup=True, one_for=ONE_SIGNAL) as stop:
        _run(options, stop)
    if stop.received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)


def _run(options: RunStationOptions, stop: StopRequest) -> None:
    from dmdd_edge.cli.console import console
    from dmdd_edge.cli.run_report import print_archive
    from dmdd_edge.cli.station_run_report import Announcer, Printed, StationReport
    from dmdd_edge.runtime.station.assembly import AssembledStation
    from dmdd_edge.runtime.station.file.read import read_station

    settings = read_station(options.file)
    for remark in settings.remarks:
        console.print(f"note: {remark}")
    report = StationReport(not options.quiet and (options.verbose or not options.json), options.verbose)
    with (
        AssembledStation(settings, console.print, lambda: bool(stop), stop.take_hangup) as station,
        Printed(report, sys.stdout if options.json else None, console.print) as printed,
    ):
        station.observe(printed)
        if station.drift is not None:
            station.drift.receivers.append(printed.drift)
        station.observe(Announcer(station, console.print))
        printed.summary = station.run()
    for what, path, count in station.outputs.written():
        console.print(f"{count} {what} in {path}")
    if station.outputs.archive is not None:
        print_archive(station.outputs.archive)
