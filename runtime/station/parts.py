"""A part in progress, its verdict, and the line that results files get about it."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.result import Status, utc_time
from dmdd_edge.runtime.sinks import Outcome
from dmdd_edge.runtime.station.frame_errors import code_of
from dmdd_edge.runtime.station.model import (
    ErrorCode,
    FrameRequest,
    InspectionResult,
    LoadedRecipe,
    Missed,
    PartResult,
    Trigger,
)
from dmdd_edge.runtime.station.settings import InspectionSettings

#: Fields of a result line that the part's own line states, or that belong to a plain run.
_NOT_OF_A_PART = ("type", "source", "index", "dropped")


@dataclass(eq=False)
class Part:
    """A part between its trigger and its verdict; the ticket that goes with it through the loop.

    Attributes:
        trigger: the trigger.
        recipe: the recipe in force at the trigger, held until the verdict.
        requests: the frame that was requested, by name of the camera.
        settled: whether it has its verdict.
        taken: when the feed took it, by ``time.perf_counter``; None while it waits for that.
    """

    trigger: Trigger
    recipe: LoadedRecipe
    requests: Mapping[str, FrameRequest]
    settled: bool = False
    taken: float | None = None


def cameras_of(recipe: LoadedRecipe) -> list[str]:
    """Names of the cameras of a recipe, in the order of its inspections."""
    return list(dict.fromkeys(inspection.camera for inspection, _ in recipe.inspections))


def part_result(part: Part, outcomes: Sequence[Outcome], deadline_ms: float | None) -> PartResult:
    """The verdict on a part, now.

    Args:
        part: the part.
        outcomes: of its inspections, in the recipe's order.
        deadline_ms: after which it is late; None is never.
    """
    found = (
        _inspection_result(inspection, outcome)
        for (inspection, _), outcome in zip(part.recipe.inspections, outcomes, strict=True)
    )
    return _verdict(part, tuple(found), deadline_ms)


def failed_result(part: Part, code: ErrorCode, error: str, deadline_ms: float | None) -> PartResult:
    """The verdict on a part of which nothing could be inspected, now: unreliable."""
    found = tuple(
        InspectionResult(inspection.name, inspection.camera, inspection.region, None, error, code)
        for inspection, _ in part.recipe.inspections
    )
    return _verdict(part, found, deadline_ms)


def _inspection_result(inspection: InspectionSettings, outcome: Outcome) -> InspectionResult:
    place = (inspection.name, inspection.camera, inspection.region)
    if isinstance(outcome, BrokenFrame):
        return InspectionResult(*place, None, outcome.error.message, code_of(outcome.error))
    return InspectionResult(*place, outcome[1])


def _verdict(part: Part, found: tuple[InspectionResult, ...], deadline_ms: float | None) -> PartResult:
    statuses = {"unreliable" if each.result is None else each.result.status for each in found}
    # The first that any inspection has; a part without any inspection is unreliable.
    order: tuple[Status, ...] = ("anomalous", "unreliable", "suspect", "good")
    status: Status = next((each for each in order if each in statuses), "unreliable")
    latency_ms = 1000 * (time.perf_counter() - part.trigger.since)
    return PartResult(
        trigger=part.trigger,
        recipe_name=part.recipe.name,
        status=status,
        late=deadline_ms is not None and latency_ms > deadline_ms,
        inspections=found,
        latency_ms=latency_ms,
        code=next((each.code for each in found if each.result is None), ErrorCode.NONE),
    )


def part_line(part: PartResult) -> dict[str, Any]:
    """Fields of the JSON line of type ``part``."""
    trigger = part.trigger
    line: dict[str, Any] = {
        "type": "part",
        "part_id": trigger.part_id,
        "acquisition_id": trigger.acquisition_id,
        "recipe": trigger.recipe,
        "recipe_name": part.recipe_name,
        "status": part.status,
        "late": part.late,
        "passed": part.passed,
        "time": utc_time(trigger.time),
        "origin": trigger.origin,
        "latency_ms": round(part.latency_ms, 3),
        "score": round(part.score, 6),
        "inspections": {each.name: _inspection_fields(each) for each in part.inspections},
    }
    if trigger.encoder is not None:
        line["encoder"] = trigger.encoder
    if part.code:
        line["error_code"] = int(part.code)
    return line


def _inspection_fields(inspection: InspectionResult) -> dict[str, Any]:
    region = None if inspection.region is None else list(inspection.region)
    place: dict[str, Any] = {"camera": inspection.camera, "region": region}
    if inspection.result is None:
        error = {"error": inspection.error, "error_code": int(inspection.code)}
        return {**place, "status": "unreliable", **error}
    fields = inspection.result.to_json()
    return {**place, **{name: value for name, value in fields.items() if name not in _NOT_OF_A_PART}}


def missed_line(missed: Missed) -> dict[str, Any]:
    """Fields of the JSON line of type ``missed``."""
    return {
        "type": "missed",
        "part_id": missed.part_id,
        "time": utc_time(missed.time),
        "origin": missed.origin,
        "error_code": int(missed.code),
        "error": missed.code.name.lower().replace("_", " "),
    }
