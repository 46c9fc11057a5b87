"""Scores of passing parts against those that the threshold was set with."""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from statistics import NormalDist
from typing import Any

from dmdd_edge.runtime.drift.observation import Drift, Notice, Place
from dmdd_edge.runtime.drift.stream import read_drift

#: Number of passing parts that are compared at a time.
COMPARED = 200
#: The fewest scores of the calibration that can tell anything.
_FEWEST = 5
#: A warning ends when the difference is as likely as this.
_USUAL = 0.05


class AgainstCalibration:
    """Compares the mean conformal p-value of 200 passing parts with the 0.5 that it is without a change.

    Each p-value is a part's rank among the calibration's scores. All of them share these few scores, so
    their mean varies as Mann and Whitney say, not as that of independent values: its variance is
    (n + m + 1) / (12 n m), at least 1 / (12 n) however many parts there are.

    Args:
        scores: of the calibration below the threshold, ascending. A passing part and such a score have the
            same distribution while nothing changes, since both are cut off at the threshold.
        level: probability of a false warning at one comparison.
    """

    def __init__(self, scores: Sequence[float], level: float) -> None:
        self._scores = scores if len(scores) >= _FEWEST else ()
        self._far = NormalDist().inv_cdf(1 - level / 2)
        self._near = NormalDist().inv_cdf(1 - _USUAL / 2)
        self._wins = 0.0
        self._count = 0
        self._first: Place | None = None
        self._warned: Drift | None = None
        #: Share of pairs in which the line's part has the higher score, of the last comparison.
        self.share: float | None = None

    @property
    def drifts(self) -> list[Drift]:
        """The warning that lasts."""
        return [] if self._warned is None else [self._warned]

    def add(self, score: float, place: Place) -> list[Notice]:
        """Take the score of a passing part."""
        if not self._scores:
            return []
        if self._first is None:
            self._first = place
        self._wins += (bisect_left(self._scores, score) + bisect_right(self._scores, score)) / 2
        self._count += 1
        if self._count < COMPARED:
            return []
        n, m, first = len(self._scores), COMPARED, self._first
        share = self.share = self._wins / (n * m)
        deviations = (share - 0.5) / math.sqrt((n + m + 1) / (12 * n * m))
        self._wins, self._count, self._first = 0.0, 0, None
        if self._warned is None:
            if abs(deviations) <= self._far:
                return []
            self._warned = Drift("calibration", share > 0.5, first, place, 0.5, share)
            return [Notice(True, self._warned, place)]
        kept = self._warned
        drift = Drift("calibration", kept.rises, kept.since, kept.warned, 0.5, share)
        self._warned = drift
        if abs(deviations) > self._near:
            return []
        self._warned = None
        return [Notice(False, drift, place)]

    def to_json(self) -> dict[str, Any]:
        """What a later run needs."""
        warned = None if self._warned is None else list(vars(self._warned).values())
        return {"wins": self._wins, "count": self._count, "first": self._first, "warned": warned}

    def restore(self, kept: dict[str, Any]) -> None:
        """Continue from ``to_json``."""
        self._wins, self._count = float(kept["wins"]), int(kept["count"])
        first = kept["first"]
        self._first = None if first is None else Place(int(first[0]), float(first[1]))
        self._warned = None if kept["warned"] is None else read_drift(kept["warned"])
