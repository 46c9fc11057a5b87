"""What the drift watch gets of a frame, and what it reports."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.runtime.result import Result, utc_time

#: What is watched. The first four are of the image, whatever it shows; the others of the parts.
Measure = Literal["light", "sharpness", "x", "y", "score", "calibration", "alarms"]
PICTURE: tuple[Measure, ...] = ("light", "sharpness", "x", "y")
MEASURES: tuple[Measure, ...] = (*PICTURE, "score", "calibration", "alarms")
#: What probably changed.
Cause = Literal["light", "focus", "position", "part", "calibration", "unknown"]


class Place(NamedTuple):
    """A frame: its number, and its time in seconds since 1970; the time is 0 where it is not known."""

    frame: int
    time: float

    def to_json(self) -> dict[str, Any]:
        """As fields of a JSON object."""
        return {"index": self.frame, "time": utc_time(self.time) if self.time else None}


class Observation(NamedTuple):
    """What the watch needs of a result.

    Attributes:
        place: which frame it is.
        status: of the result; ``gated`` for a part that passes although its score exceeds the threshold.
        score: 0..1, or NaN.
        look: light, sharpness, x, y as in ``FrameLook``; None where they were not measured.
    """

    place: Place
    status: str
    score: float
    look: tuple[float, float, float, float] | None

    @classmethod
    def of(cls, result: Result, index: int | None = None) -> Observation:
        """Of a result.

        Args:
            result: the result.
            index: its number; None takes the result's.
        """
        look = result.look
        seen = None if look is None else (look.light, look.sharpness, look.x, look.y)
        place = Place(result.index if index is None else index, result.time)
        status = "gated" if result.gated and result.status == "good" else result.status
        return cls(place, status, result.score, seen)


@dataclass(frozen=True)
class Promise:
    """What the threshold promises, and the good parts that it was set with.

    Attributes:
        normals: number of good parts, n.
        above: number of them that exceed the threshold.
        scores: those of the parts below the threshold, ascending.

    A further good part exceeds the threshold of the n scores' order statistic of rank n - above with a
    probability that is (above + 1) / (n + 1) on average over such sets of n parts, and that varies between
    them as Beta(above + 1, n - above) says: widely, when n is small.
    """

    normals: int
    above: int
    scores: tuple[float, ...] = ()

    @classmethod
    def of(cls, threshold: Threshold, image: float) -> Promise | None:
        """Of a threshold with its scores; None without scores.

        Args:
            threshold: of a manifest or a calibration.
            image: the threshold in use.
        """
        scores = threshold.scores
        if not scores:
            return None
        above = sum(score > image for score in scores)
        if above == len(scores):
            return None
        return cls(len(scores), above, tuple(score for score in scores if score < image))

    @property
    def rate(self) -> float:
        """The promised share of good parts above the threshold, 0..1."""
        return (self.above + 1) / (self.normals + 1)

    def to_json(self, most: int = 500) -> dict[str, Any]:
        """As fields of a JSON object; of many scores only some, evenly chosen."""
        step = max(1, math.ceil(len(self.scores) / most))
        chosen = [round(score, 6) for score in self.scores[step // 2 :: step]]
        return {"normals": self.normals, "above": self.above, "rate": self.rate, "scores": chosen}


@dataclass(frozen=True)
class Drift:
    """A warning: something is not as it was. See ``words`` for its sentence.

    Attributes:
        measure: what.
        rises: whether it is higher than before.
        since: the first frame of the change, as far as that can be known.
        warned: the frame at which the warning began.
        before, now: the measure's level; of ``alarms`` the promised and the found share, of ``calibration``
            the share of pairs in which the line's part has the higher score, 0.5 and what was found.
    """

    measure: Measure
    rises: bool
    since: Place
    warned: Place
    before: float
    now: float


class Notice(NamedTuple):
    """A warning begins or ends."""

    begins: bool
    drift: Drift
    place: Place


def trimmed_mean(values: Sequence[float]) -> float:
    """The mean without the tenth of the values at either end; one odd frame hardly moves it."""
    cut = len(values) // 10
    kept = sorted(values)[cut : len(values) - cut]
    return math.fsum(kept) / len(kept)
