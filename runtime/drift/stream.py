"""One measure of an inspection, batch by batch: compared with its past, watched in both directions."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from statistics import fmean
from typing import Any

from dmdd_edge.runtime.drift.cusum import Cusum
from dmdd_edge.runtime.drift.observation import Drift, Measure, Notice, Place, trimmed_mean
from dmdd_edge.runtime.drift.reference import Reference

#: Number of batches that are only learned.
LEARNED = 20
#: Number of batches among which the beginning of a change is looked for.
_TRACED = 200
#: Number of batches that say how high a measure is now.
_RECENT = 5


class Stream:
    """A measure.

    Each batch's trimmed mean is ranked among those of all earlier batches, and the normal scores of the ranks
    are summed in each direction. Nothing is learned while a warning lasts.

    Args:
        measure: what it is.
        batch: number of values in a batch.
        limit: of the two sums.
    """

    def __init__(self, measure: Measure, batch: int, limit: float) -> None:
        self.measure, self._batch = measure, batch
        self.reference = Reference(measure)
        self._charts = (Cusum(1, limit), Cusum(-1, limit))
        #: Of each direction, the batches since its sum was 0: the first frame of each, and its score.
        self._rising: list[deque[tuple[Place, float]]] = [deque(maxlen=_TRACED), deque(maxlen=_TRACED)]
        self._warned: list[Drift | None] = [None, None]
        self._values: list[float] = []
        self._first: Place | None = None
        self._recent: deque[float] = deque(maxlen=_RECENT)

    @property
    def drifts(self) -> list[Drift]:
        """The warnings that last, with the level now."""
        now = self.now
        return [
            Drift(each.measure, each.rises, each.since, each.warned, each.before, now)
            for each in self._warned
            if each is not None
        ]

    @property
    def now(self) -> float:
        """The level of the last batches."""
        return fmean(self._recent) if self._recent else 0.0

    @property
    def moves(self) -> bool:
        """Whether there is a warning, or half of one."""
        return any(chart.warning or chart.sum > chart.limit / 2 for chart in self._charts)

    @property
    def sums(self) -> tuple[float, float]:
        """How close a warning is, upwards and downwards, in shares of the limit, 0..1."""
        up, down = (chart.sum / chart.limit for chart in self._charts)
        return up, down

    def add(self, value: float, place: Place) -> list[Notice]:
        """Take a frame's value; with the last one of a batch, warnings may begin or end."""
        if self._first is None:
            self._first = place
        self._values.append(value)
        if len(self._values) < self._batch:
            return []
        first, level = self._first, trimmed_mean(self._values)
        self._first, self._values = None, []
        self._recent.append(level)
        if self.reference.count < LEARNED:
            self.reference.learn(level)
            return []
        score = self.reference.score(level)
        notices = []
        for side, chart in enumerate(self._charts):
            changed = chart.add(score)
            if chart.sum == 0:
                self._rising[side].clear()
            elif not (chart.warning and self._warned[side] is not None):
                self._rising[side].append((first, score))
            if changed:
                notices.append(self._notice(side, place))
        if not any(chart.warning for chart in self._charts):
            self.reference.learn(level)
        return notices

    def _notice(self, side: int, place: Place) -> Notice:
        kept = self._warned[side]
        if kept is not None:
            self._warned[side] = None
            ended = Drift(kept.measure, kept.rises, kept.since, kept.warned, kept.before, self.now)
            return Notice(False, ended, place)
        since = likely_start(self._rising[side])
        drift = Drift(self.measure, side == 0, since, place, self.reference.middle, self.now)
        self._warned[side] = drift
        return Notice(True, drift, place)

    def to_json(self) -> dict[str, Any]:
        """What a later run needs."""
        reference = self.reference
        return {
            "count": reference.count,
            "offered": reference.offered,
            "values": reference.values,
            "batch": self._values,
            "first": self._first,
            "recent": list(self._recent),
            "charts": [chart.to_json() for chart in self._charts],
            "rising": [[[*place, score] for place, score in each] for each in self._rising],
            "warned": [None if each is None else list(vars(each).values()) for each in self._warned],
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Continue from ``to_json``."""
        self.reference.restore(int(kept["count"]), int(kept["offered"]), [float(v) for v in kept["values"]])
        self._values = [float(value) for value in kept["batch"]][: self._batch - 1]
        self._first = _place(kept["first"])
        self._recent.extend(float(value) for value in kept["recent"])
        for chart, state in zip(self._charts, kept["charts"], strict=True):
            chart.restore(state)
        for rising, batches in zip(self._rising, kept["rising"], strict=True):
            rising.extend((Place(int(frame), float(time)), float(score)) for frame, time, score in batches)
        self._warned = [None if each is None else read_drift(each) for each in kept["warned"]]


def likely_start(batches: Iterable[tuple[Place, float]]) -> Place:
    """Where a lasting change of the scores most probably began: the maximum of the likelihood.

    Args:
        batches: the first frame and the score of each batch since all was usual; at least one.
    """
    total, best, start = 0.0, -1.0, Place(0, 0.0)
    for count, (place, score) in enumerate(reversed(list(batches)), 1):
        total += score
        if total * total / count > best:
            best, start = total * total / count, place
    return start


def _place(kept: Any) -> Place | None:
    return None if kept is None else Place(int(kept[0]), float(kept[1]))


def read_drift(kept: list[Any]) -> Drift:
    """A warning from its values in order, as ``vars`` gives them."""
    measure, rises, since, warned, before, now = kept
    places = Place(int(since[0]), float(since[1])), Place(int(warned[0]), float(warned[1]))
    return Drift(measure, bool(rises), *places, float(before), float(now))
