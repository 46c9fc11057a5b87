"""``dmdd-edge station install``: a station as a service of systemd."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

from dmdd_edge.cli.station_file import StationFileOption, load_station
from dmdd_edge.options import Option


@dataclass(frozen=True, kw_only=True)
class InstallOptions(StationFileOption):
    """Which station becomes a service, and where its unit goes."""

    account: Annotated[str, Option("User whom the service runs as.")] = "dmdd-edge"
    into: Annotated[Path, Option("Folder for the unit.")] = Path("/etc/systemd/system")
    print: Annotated[bool, Option("Write the unit to standard output, and no file.")] = False
    overwrite: Annotated[bool, Option("Replace a unit that is there.")] = False


def install(options: InstallOptions) -> None:
    """Write a systemd unit that runs a station as a service, and show the commands that start it.

    The service starts with the machine, restarts after a failure or when its loop hangs, runs as a separate
    user, and may write only where its results and its state are.
    """
    from dmdd_edge.cli.console import console, next_step
    from dmdd_edge.cli.streams import write_output
    from dmdd_edge.runtime.station.install import DEFAULT_FOLDER, plan_unit, write_unit

    settings = load_station(options)
    plan = plan_unit(settings, options.account)
    if options.print:
        write_output(plan.text)
        return
    written = write_unit(plan, options.into, settings.path, options.overwrite)
    console.print(f"wrote {written}")
    for doubt in plan.doubts:
        console.print(f"warning: {doubt}")
    if options.into != DEFAULT_FOLDER:
        console.print(f"Copy it to {DEFAULT_FOLDER}, or link it: sudo systemctl link {written.absolute()}")
    console.print("Before the first start:")
    for command in (*plan.before, "sudo systemctl daemon-reload"):
        console.print(f"  {command}")
    console.print("Its log, and how to remove it:")
    service = plan.name.removesuffix(".service")
    for command in (f"journalctl -f -u {service}", plan.remove):
        console.print(f"  {command}")
    next_step(f"sudo systemctl enable --now {service}")
