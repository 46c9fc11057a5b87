"""Latencies of a run, kept once: the newest for percentiles, all of them as a histogram."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from dataclasses import dataclass

import numpy as np

from dmdd_edge.runtime.result import Timings

#: Number of newest values for the percentiles; bounds the memory of a run of months.
KEPT_LATENCIES = 1 << 16
#: Fewest frames for each percentile, by MLPerf's rules of early stopping: below that it is chance.
FEWEST_FRAMES = {"p50": 1, "p90": 64, "p99": 662}
#: Upper bounds of the histogram, in seconds; one more class is above the last.
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)

_STAGES = ("capture", "prepare", "infer", "finish")
_SHARES = {"p50": 50, "p90": 90, "p99": 99}


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time from grabbing a frame to its result, in milliseconds.

    None with too few frames: under 64 for p90, under 662 for p99.
    """

    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True)
class Histogram:
    """All latencies since the start, as Prometheus counts them.

    Attributes:
        counts: frames in each class of ``LATENCY_BOUNDS``, and above the last bound.
        seconds: sum of all latencies.
        stages: the same sum per stage: capture, prepare, infer, finish.
    """

    counts: tuple[int, ...]
    seconds: float
    stages: dict[str, float]


class NewestValues:
    """The last ``KEPT_LATENCIES`` of a series of milliseconds."""

    def __init__(self) -> None:
        self._values = array("d")
        self._next = 0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, milliseconds: float) -> None:
        """Add a value; it replaces the oldest when there is no more room."""
        if len(self._values) < KEPT_LATENCIES:
            self._values.append(milliseconds)
        else:
            self._values[self._next] = milliseconds
            self._next = (self._next + 1) % KEPT_LATENCIES

    def percentiles(self) -> Latency:
        """Percentiles of the values."""
        return Latency(**{name: self._percentile(name) for name in _SHARES})

    def _percentile(self, name: str) -> float | None:
        if len(self._values) < FEWEST_FRAMES[name]:
            return None
        # The nearest rank: a latency that occurred, not a value between two.
        return round(float(np.percentile(self._values, _SHARES[name], method="inverted_cdf")), 3)


class Latencies(NewestValues):
    """Latencies of frames, with their histogram and their stages."""

    def __init__(self) -> None:
        super().__init__()
        self._counts = [0] * (len(LATENCY_BOUNDS) + 1)
        self._seconds = 0.0
        self._stages = dict.fromkeys(_STAGES, 0.0)

    def add_total(self, milliseconds: float) -> None:
        """Add a latency of which the stages are unknown."""
        seconds = milliseconds / 1000
        self.add(milliseconds)
        self._counts[bisect_left(LATENCY_BOUNDS, seconds)] += 1
        self._seconds += seconds

    def add_timings(self, timings: Timings) -> None:
        """Add the timings of a frame."""
        self.add_total(timings.total)
        for stage in _STAGES:
            self._stages[stage] += getattr(timings, stage) / 1000

    def histogram(self) -> Histogram:
        """A copy of the counts and sums."""
        return Histogram(tuple(self._counts), self._seconds, dict(self._stages))
