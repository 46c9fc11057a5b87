"""Run a detector on a challenge set: which parts it finds, and how far each is from the threshold."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.runtime.challenge.parts import ChallengePart, ChallengeSet
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.judging import Judged, judge_images
from dmdd_edge.runtime.result import Region, Result, utc_time

#: What became of a part; a part that is none of these has the status of its result, such as ``suspect``.
FOUND, MISSED, UNRELIABLE, UNREADABLE = "found", "missed", "unreliable", "unreadable"
_OF_STATUS = {"anomalous": FOUND, "good": MISSED}
#: What is better than what; anything else is as bad as not found.
_RANK = {FOUND: 2, "suspect": 1}


def outcome_of(status: str) -> str:
    """What a result's status makes of a known-bad part."""
    return _OF_STATUS.get(status, status)


def is_worse(after: str, before: str = FOUND) -> bool:
    """Whether a part whose outcome changes is lost, so that the change is refused."""
    return _RANK.get(after, 0) < _RANK.get(before, 0)


@dataclass(frozen=True)
class PartOutcome:
    """What a detector says about a challenge part.

    Attributes:
        part: the part.
        outcome: ``found``, when it is anomalous; ``missed``, when it passes as good; ``suspect``;
            ``unreliable``, when it cannot be judged; ``unreadable``, when its image is not the one that was
            added.
        score: 0..1; None without one.
        threshold: of the score, 0..1.
        reason: why there is no verdict; empty with one.
        at_box: whether a region of the map overlaps the box of the defect; None without a box or a verdict.
    """

    part: ChallengePart
    outcome: str
    score: float | None
    threshold: float
    reason: str = ""
    at_box: bool | None = None

    @property
    def found(self) -> bool:
        """Whether the part is anomalous."""
        return self.outcome == FOUND

    @property
    def margin(self) -> float | None:
        """Score minus threshold: above 0 the part is found, and small is close to being lost."""
        return None if self.score is None else self.score - self.threshold

    def to_json(self) -> dict[str, Any]:
        """The part as the fields of a JSON object."""
        fields: dict[str, Any] = {
            "name": self.part.name,
            "outcome": self.outcome,
            "score": self.score,
            "margin": self.margin,
        }
        if self.at_box is not None:
            fields["at_box"] = self.at_box
        if self.reason:
            fields["reason"] = self.reason
        return fields


@dataclass(frozen=True)
class ChallengeReport:
    """What a detector says about a challenge set.

    Attributes:
        bundle: that was used.
        threshold: the thresholds that were used.
        backend: that ran the graph.
        outcomes: one per part, in the order of the set.
        time: when, in seconds since 1970 (UTC).
    """

    bundle: Bundle
    threshold: EffectiveThreshold
    backend: str
    outcomes: tuple[PartOutcome, ...]
    time: float

    @property
    def found(self) -> int:
        """Number of parts that are found."""
        return sum(outcome.found for outcome in self.outcomes)

    @property
    def lost(self) -> tuple[PartOutcome, ...]:
        """The parts that are not found, whatever they are instead."""
        return tuple(outcome for outcome in self.outcomes if not outcome.found)

    @property
    def passed(self) -> bool:
        """Whether every part is found."""
        return not self.lost

    def line(self) -> dict[str, Any]:
        """The report as one short line for a results file, an MQTT topic or a PLC."""
        return {
            "type": "challenge",
            "time": utc_time(self.time),
            "category": self.bundle.category,
            "version": self.bundle.version,
            "threshold": self.threshold.image,
            "total": len(self.outcomes),
            "found": self.found,
            "lost": [outcome.part.name for outcome in self.lost],
            "passed": self.passed,
        }

    def to_json(self) -> dict[str, Any]:
        """The report as the fields of a JSON object: the line, with each part."""
        return {
            **self.line(),
            "threshold_origin": self.threshold.origin,
            "backend": self.backend,
            "parts": [outcome.to_json() for outcome in self.outcomes],
        }


def run_challenge(
    detector: Detector, challenge: ChallengeSet, on_part: Callable[[int], None] = lambda done: None
) -> ChallengeReport:
    """Run a detector on each part of a challenge set, as it runs on the line.

    Args:
        detector: with the thresholds that are in use.
        challenge: the set.
        on_part: called with the number of parts that are done.

    Raises:
        BackendError: the backend failed.
    """
    threshold = detector.threshold
    found: dict[str, PartOutcome] = {}
    whole: list[ChallengePart] = []
    for part in challenge.parts:
        if (problem := challenge.problem(part)) is None:
            whole.append(part)
        else:
            found[part.name] = PartOutcome(part, UNREADABLE, None, threshold.image, problem.message)
    done = len(found)

    def count(judged: Judged, result: Result | None) -> None:
        nonlocal done
        done += 1
        on_part(done)

    answers = judge_images(detector, [challenge.path(part) for part in whole], count)
    for part, judged in zip(whole, answers, strict=True):
        found[part.name] = _outcome(part, judged, threshold.image)
    outcomes = tuple(found[part.name] for part in challenge.parts)
    return ChallengeReport(detector.bundle, threshold, detector.backend.name, outcomes, time.time())


def _outcome(part: ChallengePart, judged: Judged, threshold: float) -> PartOutcome:
    result = judged.result
    if result is None:
        reason = "" if judged.error is None else judged.error.message
        return PartOutcome(part, UNREADABLE, None, threshold, reason)
    score = result.score if math.isfinite(result.score) else None
    outcome = outcome_of(result.status)
    at_box = None
    if part.box is not None and result.status != "unreliable":
        at_box = any(_overlaps(region, part.box) for region in result.regions)
    reason = "no region is large enough" if result.gated else result.reason
    return PartOutcome(part, outcome, score, result.threshold, reason, at_box)


def _overlaps(region: Region, box: tuple[int, int, int, int]) -> bool:
    x, y, width, height = box
    return (
        region.x < x + width
        and x < region.x + region.width
        and region.y < y + height
        and y < region.y + region.height
    )
