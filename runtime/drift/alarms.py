"""The alarm rate against what the threshold promises: a binomial test that knows how the rate was found."""

from __future__ import annotations

import math
from collections import deque
from functools import lru_cache
from typing import Any

from dmdd_edge.runtime.drift.observation import Drift, Notice, Place, Promise
from dmdd_edge.runtime.drift.stream import read_drift

#: Frames of an entry, and entries of the short and the long window.
ENTRY, SHORT, LONG = 20, 10, 100
#: A warning ends when the short window has no more alarms than the promise makes as likely as this.
_USUAL = 0.05
#: Frames that stand for the promise of a threshold that was given by hand.
_LEARNED = 400


@lru_cache(maxsize=64)
def critical_count(frames: int, normals: int, above: int, level: float) -> int:
    """The fewest alarms among some frames that are as unlikely as a level; ``frames`` + 1 if none are.

    The number of alarms is binomial with the threshold's true rate, which is known no better than the
    ``normals`` parts tell it: Beta(above + 1, normals - above). Together that is a beta-binomial
    distribution, exact while parts are exchangeable; for many parts it is the binomial one of the promise.
    """
    a, b = above + 1.0, float(normals - above)
    tail, whole = 0.0, _log_beta(a, b)
    for alarms in range(frames, -1, -1):
        choices = math.lgamma(frames + 1) - math.lgamma(alarms + 1) - math.lgamma(frames - alarms + 1)
        tail += math.exp(choices + _log_beta(a + alarms, b + frames - alarms) - whole)
        if tail > level:
            return alarms + 1
    return 0


class AlarmRate:
    """Watches the share of anomalous parts among the last 200 and 2,000 judged ones.

    Args:
        promise: of the threshold; without one the first 400 judged frames stand for it.
        level: probability of a false warning at one look, which comes with every 20 frames.
    """

    def __init__(self, promise: Promise | None, level: float) -> None:
        self._promise, self._level = promise, level
        self._learned = [0, 0]
        self._entries: deque[tuple[Place, int]] = deque(maxlen=LONG)
        self._open: list[Any] = []
        self._warned: Drift | None = None

    @property
    def drifts(self) -> list[Drift]:
        """The warning that lasts, with the rate now."""
        if self._warned is None:
            return []
        kept = self._warned
        return [Drift("alarms", True, kept.since, kept.warned, kept.before, self.rate)]

    @property
    def rate(self) -> float:
        """The share of anomalous frames in the short window, 0..1."""
        newest = list(self._entries)[-SHORT:]
        return sum(alarms for _, alarms in newest) / (ENTRY * len(newest)) if newest else 0.0

    @property
    def begun(self) -> bool:
        """Whether there is a rate: some frames were counted since the promise is known."""
        return bool(self._entries)

    @property
    def promised(self) -> float | None:
        """The rate that it is compared with; None before it is known."""
        return None if self._promise is None else self._promise.rate

    def add(self, alarm: bool, place: Place) -> list[Notice]:
        """Take a judged frame."""
        if self._promise is None:
            self._learned[0] += 1
            self._learned[1] += alarm
            if self._learned[0] == _LEARNED and self._learned[1] < _LEARNED:
                self._promise = Promise(_LEARNED, self._learned[1])
            return []
        if not self._open:
            self._open = [place, 0, 0]
        self._open[1] += alarm
        self._open[2] += 1
        if self._open[2] < ENTRY:
            return []
        self._entries.append((self._open[0], self._open[1]))
        self._open = []
        return self._look(place, self._promise)

    def _look(self, place: Place, promise: Promise) -> list[Notice]:
        counts = [alarms for _, alarms in self._entries]
        if self._warned is not None:
            usual = critical_count(ENTRY * SHORT, promise.normals, promise.above, _USUAL)
            if sum(counts[-SHORT:]) >= usual:
                return []
            [ended] = self.drifts
            self._warned = None
            return [Notice(False, ended, place)]
        for entries in (SHORT, LONG):
            if len(counts) < entries:
                break
            fewest = critical_count(ENTRY * entries, promise.normals, promise.above, self._level / 2)
            if sum(counts[-entries:]) >= fewest:
                self._warned = Drift(
                    "alarms",
                    True,
                    self._since((promise.rate + self.rate) / 2),
                    place,
                    promise.rate,
                    self.rate,
                )
                return [Notice(True, self._warned, place)]
        return []

    def _since(self, rate: float) -> Place:
        """Where the sum of alarms above a rate between the promised and the found one was lowest."""
        total = lowest = 0.0
        entries = list(self._entries)
        since = entries[0][0]
        for number, (_, alarms) in enumerate(entries):
            total += alarms - rate * ENTRY
            if total <= lowest and number + 1 < len(entries):
                lowest, since = total, entries[number + 1][0]
        return since

    def to_json(self) -> dict[str, Any]:
        """What a later run needs."""
        learned = self._promise is not None and self._learned[0] > 0
        return {
            "learned": self._learned,
            "own": learned,
            "entries": [[*place, alarms] for place, alarms in self._entries],
            "warned": None if self._warned is None else list(vars(self._warned).values()),
        }

    def restore(self, kept: dict[str, Any]) -> None:
        """Continue from ``to_json``."""
        self._learned = [int(value) for value in kept["learned"]]
        if kept["own"]:
            self._promise = Promise(_LEARNED, self._learned[1])
        self._entries.extend((Place(int(i), float(t)), int(alarms)) for i, t, alarms in kept["entries"])
        self._warned = None if kept["warned"] is None else read_drift(kept["warned"])


def _log_beta(a: float, b: float) -> float:
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)
