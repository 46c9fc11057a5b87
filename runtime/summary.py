"""The closing summary of a run: counts, latency percentiles, throughput."""

from __future__ import annotations

import threading
import time
from array import array
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
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
        age_ms: of a live source: percentiles of a frame's age when its result was there.
        busy: share of the run that each part was at work, 0..1: capture, prepare, infer, write. They overlap.
        slowest: the part that the others waited for.
        passed_over: what the source found and did not judge, by kind; see ``SourceState``.
        hints: likely causes of what the run shows; see ``hints.Hint``.
        ended_by: ``source`` when that came to its end, ``limit`` when as many frames as asked for were taken,
            ``stop`` when a signal, the clock or a window ended the run before.
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
    age_ms: Latency | None = None
    busy: dict[str, float] = field(default_factory=dict)
    slowest: str = ""
    passed_over: dict[str, int] = field(default_factory=dict)
    hints: tuple[dict[str, Any], ...] = ()
    ended_by: str = "source"

    def to_json(self) -> dict[str, Any]:
        """The summary as the fields of one JSON line."""
        return {"type": "summary", **asdict(self), "hints": list(self.hints)}


class Tally:
    """Counts while a run goes on, in bounded memory; from any thread.

    Args:
        backend: what runs the graph.
        live: keep the age of each result too.
    """

    def __init__(self, backend: str, live: bool = False) -> None:
        self._backend = backend
        self._start = time.perf_counter()
        self._lock = threading.Lock()
        self._counts = {"good": 0, "anomalous": 0, "unreliable": 0}
        self._latencies = _Newest()
        self._ages = _Newest() if live else None
        self._skipped = 0
        self._dropped = 0
        self._hints: list[dict[str, Any]] = []

    def begin(self) -> None:
        """Start the clock anew."""
        self._start = time.perf_counter()

    @property
    def frames(self) -> int:
        """How many frames have a result so far."""
        return sum(self._counts.values())

    @property
    def dropped(self) -> int:
        """How many frames a live source dropped so far, as the results say."""
        return self._dropped

    def add(self, result: Result) -> None:
        """Count a result."""
        with self._lock:
            self._counts[result.status] += 1
            self._dropped += result.dropped
            self._latencies.add(result.timings.total)
            if self._ages is not None:
                self._ages.add(max(1000 * (time.time() - result.time), 0.0))

    def skip(self) -> None:
        """Count a frame that has no result."""
        with self._lock:
            self._skipped += 1

    def hint(self, hint: dict[str, Any]) -> None:
        """Keep a likely cause of what the run shows, for the summary."""
        with self._lock:
            self._hints.append(hint)

    def drop(self, frames: int) -> None:
        """Count frames that a live source dropped after the last one that has a result."""
        with self._lock:
            self._dropped += frames

    def summary(
        self,
        busy: dict[str, float] | None = None,
        slowest: str = "",
        passed_over: Mapping[str, int] | None = None,
        ended_by: str = "source",
    ) -> Summary:
        """The counts up to now.

        Args:
            busy, slowest, passed_over, ended_by: see ``Summary``.
        """
        with self._lock:
            seconds = time.perf_counter() - self._start
            return Summary(
                frames=self.frames,
                good=self._counts["good"],
                anomalous=self._counts["anomalous"],
                unreliable=self._counts["unreliable"],
                skipped=self._skipped,
                dropped=self._dropped,
                latency_ms=self._latencies.percentiles(),
                throughput=round(self.frames / seconds, 3) if seconds > 0 else 0.0,
                seconds=round(seconds, 3),
                backend=self._backend,
                age_ms=None if self._ages is None else self._ages.percentiles(),
                busy=busy or {},
                slowest=slowest,
                hints=tuple(self._hints),
                passed_over=dict(passed_over or {}),
                ended_by=ended_by,
            )


class _Newest:
    """The last ``KEPT_LATENCIES`` of a series of milliseconds."""

    def __init__(self) -> None:
        self._values = array("d")
        self._next = 0

    def __len__(self) -> int:
        return len(self._values)

    def add(self, milliseconds: float) -> None:
        """Keep one more; the oldest makes room."""
        if len(self._values) < KEPT_LATENCIES:
            self._values.append(milliseconds)
        else:
            self._values[self._next] = milliseconds
            self._next = (self._next + 1) % KEPT_LATENCIES

    def percentiles(self) -> Latency:
        """Of what is kept."""
        return Latency(**{name: self._percentile(name) for name in _SHARES})

    def _percentile(self, name: str) -> float | None:
        if len(self._values) < FEWEST_FRAMES[name]:
            return None
        # The nearest rank: a latency that was really seen, not a value between two.
        return round(float(np.percentile(self._values, _SHARES[name], method="inverted_cdf")), 3)
