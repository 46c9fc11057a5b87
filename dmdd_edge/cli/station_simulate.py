"""``dmdd-edge station simulate``: a station without its hardware, and a small PLC that triggers it."""

from __future__ import annotations

import signal
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated, ClassVar

import typer

from dmdd_edge.cli.exit_codes import INTERRUPTED
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.options import Option, Options

if TYPE_CHECKING:
    from dmdd_edge.runtime.station.simulate.findings import Findings


@dataclass(frozen=True, kw_only=True)
class SimulateOptions(JsonOutput, Options):
    """Which station is simulated, and how."""

    file: Annotated[Path, Option("Station file, such as line1.toml.", argument=True)]
    rate: Annotated[float, Option("Triggers per second.", above=0, maximum=1000)] = 5.0
    parts: Annotated[int, Option("Number of triggers.", minimum=1)] = 100
    images: Annotated[
        str | None,
        Option(
            "For every camera, a folder of images or a video, or drawn; default: drawn for each camera that "
            "the file does not simulate."
        ),
    ] = None
    port: Annotated[
        int | None,
        Option(
            "Port of the Modbus server; 0 chooses a free one; default: the file's.", minimum=0, maximum=65535
        ),
    ] = None
    no_plc: Annotated[
        bool, Option("Run only the station, for a PLC of your own, until Ctrl-C.", name="--no-plc")
    ] = False
    quiet: Annotated[bool, Option("Do not print the handshake.", short="-q")] = False

    EXCLUSIVE: ClassVar[tuple[tuple[str, ...], ...]] = (("no_plc", "rate"), ("no_plc", "parts"))


def simulate(options: SimulateOptions) -> None:
    """Try a station before its line stands: with drawn or recorded images, and a small PLC.

    Bundles, recipes, triggers, handshake and page are those of the station; cameras and 24 V lines are
    simulated, and nothing is written. The PLC triggers parts over Modbus TCP and prints the handshake, at
    the end a table. Exit code 1 when a part was lost, answered twice or out of order, or passed without
    having been judged good.
    """
    from dmdd_edge.cli.console import console, print_json
    from dmdd_edge.cli.station_run import ONE_SIGNAL
    from dmdd_edge.cli.station_run_report import Announcer, Printed, StationReport
    from dmdd_edge.cli.station_simulate_report import print_findings
    from dmdd_edge.runtime.signals import StopRequest
    from dmdd_edge.runtime.station.assembly import AssembledStation
    from dmdd_edge.runtime.station.file.read import read_station
    from dmdd_edge.runtime.station.simulate.lines import PrintedLines
    from dmdd_edge.runtime.station.simulate.plc import SimulatedPlc
    from dmdd_edge.runtime.station.simulate.stand_in import changes, stand_in

    settings = read_station(options.file)
    findings: Findings | None = None
    with (
        TemporaryDirectory(prefix="dmdd-station-") as folder,
        StopRequest(hangup=True, one_for=ONE_SIGNAL) as stop,
    ):
        simulated = stand_in(settings, Path(folder), options.images, options.port)
        for line in (*settings.remarks, *changes(settings, simulated)):
            console.print(f"note: {line}")
        plc: SimulatedPlc | None = None

        def ended() -> bool:
            if plc is None:
                return bool(stop)
            if stop:
                plc.stop()  # and then it reads the results that are due
            return plc.done

        with (
            AssembledStation(
                simulated,
                console.print,
                ended,
                stop.take_hangup,
                lambda gpio, engine: PrintedLines(gpio, console.print),
            ) as station,
            Printed(StationReport(options.no_plc and not options.quiet), None, console.print) as printed,
        ):
            station.observe(printed)
            station.observe(Announcer(station, console.print))
            if not options.no_plc:
                say = (lambda line: None) if options.quiet or options.json else console.print
                assert simulated.plc.modbus is not None
                plc = SimulatedPlc(station, simulated.plc.modbus, options.rate, options.parts, say)
                plc.start()
            summary = station.run()
            if plc is None:
                printed.summary = summary
            else:
                findings = plc.findings()
    if findings is not None:
        if options.json:
            print_json(findings.to_json())
        else:
            print_findings(findings)
    if stop.received is signal.SIGINT:
        raise typer.Exit(INTERRUPTED)
    if findings is not None and findings.broken:
        raise typer.Exit(1)
