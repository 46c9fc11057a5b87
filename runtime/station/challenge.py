"""The challenge sets of a station: run when a bundle is loaded, and before a shift."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from dmdd_edge.errors import BundleError, DmddError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.challenge.report import ChallengeReport, run_challenge
from dmdd_edge.runtime.challenge.run import set_of
from dmdd_edge.runtime.challenge.start import in_words
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.station.graphs import Graphs
from dmdd_edge.runtime.station.settings import (
    CHALLENGE_SPOOL,
    InspectionSettings,
    RecipeSettings,
    StationSettings,
)

Say = Callable[[str], None]


class StationChallenge:
    """Runs the challenge set of each bundle that a station loads, before the bundle is used.

    Args:
        report: called with the line of each report, for the results, and with what is wrong with the recipe
            that is being loaded: a sentence, empty when each known-bad part is found.
        say: receives what a person should know, one line each.
    """

    def __init__(self, report: Callable[[list[dict[str, Any]], str], None], say: Say) -> None:
        self._report, self._say = report, say
        self._problems: dict[str, str] = {}

    def __call__(self, recipe: RecipeSettings, loaded: Sequence[tuple[InspectionSettings, Detector]]) -> None:
        """Run the sets of bundles that have just been loaded, which no part uses yet; never raises.

        Args:
            recipe: that they are loaded for.
            loaded: its inspections with such a bundle.
        """
        lines: list[dict[str, Any]] = []
        for inspection, detector in loaded:
            try:
                report = _run(detector)
            except DmddError as error:
                self._problems[inspection.name] = _problem(inspection, f"it cannot be run: {error.message}")
                self._say(self._problems[inspection.name])
                continue
            if report is None:
                self._say(f"{inspection.name}: the challenge set of {detector.bundle.category} is empty.")
                continue
            lines.append({**report.line(), "inspection": inspection.name, "recipe": recipe.number})
            self._say(f"{inspection.name}: {in_words(report)}")
            lost = ", ".join(outcome.part.name for outcome in report.lost)
            self._problems[inspection.name] = (
                "" if report.passed else _problem(inspection, f"not found: {lost}")
            )
        now = [self._problems.get(name, "") for name in recipe.inspections]
        self._report(lines, " ".join(filter(None, now)))


@dataclass(frozen=True)
class InspectionReport:
    """The challenge set of an inspection.

    Attributes:
        inspection: its name.
        report: what was found; None when nothing could be run.
        problem: why not; empty with a report.
    """

    inspection: str
    report: ChallengeReport | None = None
    problem: str = ""

    def to_json(self) -> dict[str, Any]:
        """The report as the fields of a JSON object."""
        fields = {} if self.report is None else self.report.to_json()
        return {"inspection": self.inspection, **fields, "problem": self.problem or None}


def challenge_station(
    settings: StationSettings, say: Say, progress: Callable[[str], None] = lambda name: None
) -> list[InspectionReport]:
    """Run the challenge set of each inspection of a station, with its thresholds, and send one line each.

    The station may be at work meanwhile: its graphs are loaded once more for this.

    Args:
        settings: of the station; its MQTT topic and webhook receive the lines.
        say: receives what a person should know, one line each.
        progress: called with the name of each inspection.

    Raises:
        BundleError: no inspection has a challenge set.
        DmddError: a receiver of messages cannot be used.
    """
    reports = list(_reports(settings, progress))
    if all(report.report is None for report in reports) and not any(report.problem for report in reports):
        categories = sorted({each.category or "" for each in settings.inspections.values()} - {""})
        add = command(
            "challenge", "add", "IMAGE", category=next(iter(categories), None), models_dir=settings.models_dir
        )
        raise BundleError(
            f"No inspection of {settings.name} has a challenge set, so nothing was checked.",
            f"Add known-bad parts: {add}",
        )
    _deliver(settings, reports, say)
    return reports


def _reports(settings: StationSettings, progress: Callable[[str], None]) -> Iterator[InspectionReport]:
    graphs = Graphs(settings)
    for name in dict.fromkeys(name for recipe in settings.recipes for name in recipe.inspections):
        inspection = settings.inspections[name]
        progress(name)
        try:
            wanted = graphs.name(inspection)
            graph = graphs.load(wanted)
            try:
                report = _run(graph.detector(inspection))
            finally:
                graphs.release(wanted)
        except DmddError as error:
            yield InspectionReport(name, problem=error.message)
        else:
            yield InspectionReport(name, report)


def _run(detector: Detector) -> ChallengeReport | None:
    """What a detector says about the set of its category; None for an empty one."""
    challenge = set_of(detector.bundle)
    return run_challenge(detector, challenge) if challenge.parts else None


def _problem(inspection: InspectionSettings, what: str) -> str:
    return f"The challenge set of {inspection.name}: {what}."


def _deliver(settings: StationSettings, reports: Sequence[InspectionReport], say: Say) -> None:
    """Send a line for each report; the station itself may hold its own spool."""
    options = settings.results
    if options.mqtt is None and options.webhook is None:
        return
    from dmdd_edge.runtime.delivery import DeliveryOptions, open_delivery

    spool = settings.state_dir / CHALLENGE_SPOOL
    delivery = options.pick(DeliveryOptions, station=settings.name, spool=spool)
    with ExitStack() as stack:
        opened = open_delivery(options.mqtt, options.webhook, delivery, say)
        for sink in opened:
            stack.callback(sink.close)
        for each in reports:
            if each.report is not None:
                line = {**each.report.line(), "inspection": each.inspection}
                for sink in opened:
                    sink.line(dict(line))
