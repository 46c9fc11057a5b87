"""The closing summary of a run: counts, latency percentiles, throughput."""

from __future__ import annotations

import time
from array import array
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from dmdd_edge.runtime.result import Result

#: How many of the last latencies the percentiles are taken over; bounds the memory of a run of months.
KEPT_LATENCIES = 1 << 16

#: Of fewer frames than this a percentile is chance, by MLPerf's rules of early stopping; then there is none.
FEWEST_FRAMES = {"p50": 1, "p90": 64, "p99": 662}

_SHARES = {"p50": 50, "p90": 90, "p99": 99}


@dataclass(frozen=True)
class Latency:
    """Percentiles of the time from grabbing a frame to its result, in milliseconds.

    None where there were too few frames to tell: under 64 for p90, under 662 for p99.
    """

    p50: float | None
    p90: float | None
    p99: float | None


@dataclass(frozen=True)
class Summary:
    """What a run did.

    Attributes:
        frames: frames that have a result: good, anomalous and unreliable ones.
        good, anomalous, unreliable: how many of each.
        skipped: frames that could not be read or prepared.
        dropped: frames that a live source dropped.
        latency_ms: percentiles over the last 65,536 frames.
        throughput: frames a second, over the whole run.
        seconds: how long the run took.
        backend: what ran the graph, as ``--backend`` names it.
    """

    frames: int
    good: int
    anomalous: int
    unreliable: int
    skipped: int
    dropped: int
    latency_ms: Latency
    throughput: float
    seconds: float
    backend: str

    def to_json(self) -> dict[str, Any]:
        """The summary as the fields of one JSON line."""
        return {"type": "summary", **asdict(self)}


class Tally:
    """Counts while a run goes on, in bounded memory.

    Args:
        backend: what runs the graph.
    """

    def __init__(self, backend: str) -> None:
        self._backend = backend
        self._start = time.perf_counter()
        self._counts = {"good": 0, "anomalous": 0, "unreliable": 0}
        self._latencies = array("d")
        self._next = 0
        self.skipped = 0
        self._dropped = 0

    @property
    def frames(self) -> int:
        """How many frames have a result so far."""
        return sum(self._counts.values())

    def add(self, result: Result) -> None:
        """Count a result."""
        self._counts[result.status] += 1
        self._dropped += result.dropped
        latency = result.timings.total
        if len(self._latencies) < KEPT_LATENCIES:
            self._latencies.append(latency)
        else:
            self._latencies[self._next] = latency
            self._next = (self._next + 1) % KEPT_LATENCIES

    def summary(self) -> Summary:
        """The counts up to now."""
        seconds = time.perf_counter() - self._start
        return Summary(
            frames=self.frames,
            good=self._counts["good"],
            anomalous=self._counts["anomalous"],
            unreliable=self._counts["unreliable"],
            skipped=self.skipped,
            dropped=self._dropped,
            latency_ms=Latency(**{name: self._percentile(name) for name in _SHARES}),
            throughput=round(self.frames / seconds, 3) if seconds > 0 else 0.0,
            seconds=round(seconds, 3),
            backend=self._backend,
        )

    def _percentile(self, name: str) -> float | None:
        if len(self._latencies) < FEWEST_FRAMES[name]:
            return None
        # The nearest rank: a latency that was really seen, not a value between two.
        return round(float(np.percentile(self._latencies, _SHARES[name], method="inverted_cdf")), 3)
