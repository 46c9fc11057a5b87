"""The one rule that makes a part good, suspect or anomalous; for run, station, calibration and evaluation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from dmdd_edge.bundle.gate import Gate
from dmdd_edge.errors import DataError

Judgment = Literal["good", "suspect", "anomalous"]
SuspectAs = Literal["good", "anomalous"]
#: The values of ``--suspect-as``.
SUSPECT_AS: tuple[SuspectAs, ...] = ("good", "anomalous")
Origin = Literal["option", "calibration", "manifest"]
#: Where a threshold is from, for people.
ORIGINS: dict[Origin, str] = {
    "option": "given for this run",
    "calibration": "calibrated here",
    "manifest": "set at export",
}


@dataclass(frozen=True)
class EffectiveThreshold:
    """The thresholds of a run, and their origin.

    Attributes:
        image: threshold of the score, 0..1.
        pixel: threshold of the map, 0..1.
        origin: ``option`` (given for this run), ``calibration`` or ``manifest``.
        suspect: lower threshold of the score, 0..1; None without a band.
        suspect_pixel: lower threshold of the map, 0..1; None without a band.
        gate: what a region needs besides values above the threshold of the map.
        suspect_as: ``anomalous`` when suspect parts count as anomalous; ``image`` is the lower one then.
            ``good`` when they count as good. None otherwise; with the other two there is no ``suspect``.
        strip: of a calibration from strips of a web: how many rows of the strip before were in front of each.
    """

    image: float
    pixel: float
    origin: Origin
    suspect: float | None = None
    suspect_pixel: float | None = None
    gate: Gate = field(default=Gate())
    suspect_as: SuspectAs | None = None
    strip: int | None = None

    @property
    def origin_in_words(self) -> str:
        """Where the threshold is from, in the words of every command."""
        return ORIGINS[self.origin]

    @property
    def has_band(self) -> bool:
        """Whether a part can be suspect."""
        return self.suspect is not None and self.suspect < self.image

    @property
    def finds_nothing(self) -> str:
        """Why no part can be anomalous, as a sentence; empty if one can be."""
        if self.image >= 1:
            return "No score exceeds the threshold 1, so no part is anomalous."
        if self.gate and self.pixel >= 1:
            return (
                "No value of a map exceeds the pixel threshold 1, so no region is large enough, "
                "and no part is anomalous."
            )
        return ""

    def judging(self) -> EffectiveThreshold:
        """These thresholds, for a detector: refuses those that nobody gave and that find nothing.

        A threshold of 1 that was given for a run is a wish; a warning names it once.

        Raises:
            DataError: no part could be anomalous.
        """
        problem = self.finds_nothing
        if problem and not (self.image >= 1 and self.origin == "option"):
            if self.image >= 1:
                problem += f" It was {self.origin_in_words}."
            raise DataError(
                problem,
                "Set another threshold with dmdd-edge calibrate --source GOOD_PARTS, or give one below 1 "
                "for this run.",
            )
        return self

    def decide(self, score: float, large: Callable[[float], bool]) -> Judgment:
        """Decide on a part.

        It is anomalous when its score is above ``image``; else suspect when its score is above ``suspect``.
        With a smallest area, either also needs a region of that area above the threshold of the map that
        belongs to it. So the gate only ever takes a part out of a class, and a part with a higher score or a
        larger region is never rated better.

        Args:
            score: 0..1; not-a-number is rated good, so the caller must not pass it on as such.
            large: whether the map has a region above this level that the gate admits; asked with a gate only.
        """
        if score > self.image and (not self.gate or large(self.pixel)):
            return "anomalous"
        if self.suspect is None or self.suspect_pixel is None or not score > self.suspect:
            return "good"
        return "suspect" if not self.gate or large(self.suspect_pixel) else "good"

    def decide_reach(self, score: float, reach: float) -> Judgment:
        """As ``decide``, with the number that ``gate.reach`` gives for the map instead of its regions."""
        return self.decide(score, lambda level: level < reach)
