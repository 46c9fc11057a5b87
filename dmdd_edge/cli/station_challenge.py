"""``dmdd-edge station challenge``: run the challenge sets of a station before a shift."""

from __future__ import annotations

from dataclasses import dataclass

import typer

from dmdd_edge.cli.exit_codes import PARTS_LOST
from dmdd_edge.cli.options import JsonOutput
from dmdd_edge.cli.station_file import StationFileOption, load_station


@dataclass(frozen=True, kw_only=True)
class ChallengeStationOptions(JsonOutput, StationFileOption):
    """Which station's challenge sets are run."""


def challenge(options: ChallengeStationOptions) -> None:
    """Run the challenge set of each inspection with its thresholds, and send a line by MQTT and webhook.

    For the start of a shift; the station may be running. Exit code 3 when a known-bad part is not found, 1
    when a set cannot be run.
    """
    from dmdd_edge.cli.console import console, next_step, print_json
    from dmdd_edge.cli.progress import Work
    from dmdd_edge.messages.commands import command
    from dmdd_edge.runtime.challenge.start import in_words
    from dmdd_edge.runtime.station.challenge import challenge_station

    settings = load_station(options)
    with Work() as work:
        reports = challenge_station(
            settings, console.print, lambda name: work.update("running known-bad parts", note=name)
        )
    run = [each.report for each in reports if each.report is not None]
    total, found = sum(len(report.outcomes) for report in run), sum(report.found for report in run)
    console.print(f"{settings.name}: {found} of {total} known-bad part{'s' * (total != 1)} found")
    for each in reports:
        line = in_words(each.report) if each.report is not None else each.problem or "no challenge set"
        console.print(f"{each.inspection}: {line}")
    if options.json:
        print_json(
            {
                "station": settings.name,
                "total": total,
                "found": found,
                "inspections": [each.to_json() for each in reports],
            }
        )
    next_step(command("station", "check", options.file))
    if any(each.problem for each in reports):
        raise typer.Exit(1)
    if found < total:
        raise typer.Exit(PARTS_LOST)
