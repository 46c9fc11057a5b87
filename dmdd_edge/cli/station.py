"""``dmdd-edge station``: a station of cameras, recipes and a PLC, described by one file."""

from __future__ import annotations

import typer

from dmdd_edge.cli.expand import add_command
from dmdd_edge.options import Options


def register(app: typer.Typer) -> None:
    """Add the command and its sub-commands to the program."""
    group = typer.Typer(
        help="Run a station: cameras, recipes and a PLC, described by one file.", no_args_is_help=True
    )
    add_command(group, "schema", schema, Options)
    app.add_typer(group, name="station")


def schema(options: Options) -> None:
    """Write the JSON Schema of a station file to standard output, for editors."""
    from dmdd_edge.cli.console import print_json
    from dmdd_edge.runtime.station.file.schema import station_schema

    print_json(station_schema())
