"""``dmdd-edge station``: a station of cameras, recipes and a PLC, described by one file."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

import typer

from dmdd_edge.cli.expand import add_command, expand
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.cli.station_challenge import ChallengeStationOptions, challenge
from dmdd_edge.cli.station_file import StationFileOption, load_station
from dmdd_edge.cli.station_install import InstallOptions, install
from dmdd_edge.cli.station_run import RunStationOptions, run
from dmdd_edge.cli.station_simulate import SimulateOptions, simulate
from dmdd_edge.options import Option, Options
from dmdd_edge.options.groups import ModelsDirOption

_HELP = "Run a station: cameras, recipes and a PLC, described by one file."


def register(app: typer.Typer) -> None:
    """Add the command and its sub-commands to the program."""
    group = typer.Typer(help=_HELP, no_args_is_help=True)
    group.callback()(expand(station, Options, with_context=True))
    add_command(group, "init", init, InitOptions)
    add_command(group, "check", check, CheckOptions)
    add_command(group, "challenge", challenge, ChallengeStationOptions)
    add_command(group, "run", run, RunStationOptions)
    add_command(group, "simulate", simulate, SimulateOptions)
    add_command(group, "install", install, InstallOptions)
    add_command(group, "schema", schema, Options)
    app.add_typer(group, name="station")


@dataclass(frozen=True, kw_only=True)
class InitOptions(ModelsDirOption, StationFileOption):
    """Where a station file is written, and from which bundles."""

    overwrite: Annotated[bool, Option("Replace a file that is there.")] = False


@dataclass(frozen=True, kw_only=True)
class CheckOptions(JsonOutput, StationFileOption):
    """Which station is examined."""


def station(context: typer.Context, options: Options) -> None:
    """Run a station: cameras, recipes and a PLC, described by one file."""


def init(options: InitOptions) -> None:
    """Write a commented station file from the cameras and bundles of this machine.

    Beside it goes a JSON Schema, with which an editor completes and explains the keys.
    """
    from dmdd_edge.cli.console import console, next_step
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.messages.commands import command
    from dmdd_edge.runtime.station.file.write import write_station

    with Work() as work:
        work.update("searching for cameras and bundles")
        written = write_station(options.file, options.models_dir, options.overwrite)
    for line in written.lines:
        console.print(line)
    next_step(command("station", "check", options.file))


def check(options: CheckOptions) -> None:
    """Open everything that a station file names once, and report what works and what does not.

    Each camera delivers one image, each bundle is verified and runs, each port is opened; 24 V lines are not
    driven, and nothing is sent. Exit code 1 when something does not work.
    """
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.cli.station_report import print_problems, print_report
    from dmdd_edge.runtime.station.check.examine import examine_station
    from dmdd_edge.runtime.station.file.problems import StationFileError

    try:
        settings = load_station(options)
    except StationFileError as error:
        if options.json:
            print_problems(options.file, error)
        raise
    with Work() as work:
        report = examine_station(settings, work.update)
    print_report(options.file, settings, report, options.json)
    if report.broken:
        raise typer.Exit(1)


def schema(options: Options) -> None:
    """Write the JSON Schema of a station file to standard output, for editors."""
    from dmdd_edge.cli.console import print_json
    from dmdd_edge.runtime.station.file.schema import station_schema

    print_json(station_schema())
