"""Examines a station: cameras, inspections, recipes, servers, lines, results."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.doctor.findings import Finding
from dmdd_edge.runtime.station.check.cameras import FIRST_FRAME_SECONDS, look_through
from dmdd_edge.runtime.station.check.inspections import examine_inspections
from dmdd_edge.runtime.station.check.outside import examine_outside
from dmdd_edge.runtime.station.check.report import StationReport
from dmdd_edge.runtime.station.settings import CameraSettings, StationSettings


def examine_station(
    settings: StationSettings,
    update: Callable[[str], None] = lambda what: None,
    seconds: float = FIRST_FRAME_SECONDS,
) -> StationReport:
    """Open everything that a station file names once; nothing is driven, sent or written.

    Args:
        settings: what the file says.
        update: called with what is being done.
        seconds: that each camera has for its first frame.
    """
    update("cameras")
    looks = look_through(settings.cameras, settings.place, seconds)
    frames = {name: look.frame for name, look in looks.items()}
    inspections = examine_inspections(settings, frames, update)
    update("ports, lines and results")
    remarks = list(settings.remarks)
    findings = [
        *(_without_it(settings, look.finding, settings.cameras[name]) for name, look in looks.items()),
        *inspections,
        *_recipes(settings, {finding.name for finding in inspections if finding.state != "ok"}),
        *examine_outside(settings, remarks.append),
    ]
    return StationReport(settings.path, tuple(findings), tuple(remarks))


def _recipes(settings: StationSettings, broken: set[str]) -> Iterator[Finding]:
    """Each recipe: whether all of its inspections work."""
    for recipe in settings.recipes:
        missing = [name for name in recipe.inspections if f"inspections.{name}" in broken]
        listed = ", ".join(recipe.inspections)
        start = ", at the first start" if recipe.number == settings.recipe else ""
        yield Finding(
            f"recipes.{recipe.number}",
            f"recipe {recipe.number}",
            "broken" if missing else "ok",
            f"{recipe.name}: {_not_working(missing) if missing else listed + start}",
            facts={"number": recipe.number, "name": recipe.name, "inspections": list(recipe.inspections)},
        )


def _not_working(inspections: list[str]) -> str:
    """That inspections, at least one, do not work."""
    several = len(inspections) > 1
    return f"inspection{'s' * several} {', '.join(inspections)} do{'es' * (not several)} not work"


def _without_it(settings: StationSettings, finding: Finding, camera: CameraSettings) -> Finding:
    """A finding about a camera; of a device that is not there, how to try without it."""
    device = f"/dev/video{camera.source}" if camera.source.isdecimal() else camera.source
    if finding.state == "ok" or not device.startswith("/dev/video") or Path(device).exists():
        return finding
    simulate = command("station", "simulate", settings.path)
    fix = f'{finding.fix} To try without a camera, write source = "drawn:plate", or run: {simulate}'
    return replace(finding, fix=fix.lstrip())
