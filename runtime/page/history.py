"""What the page remembers of a run, in bounded memory: the newest frame, the traces, the latencies."""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, NamedTuple

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result

#: How many frames the traces reach back.
KEPT_POINTS = 600
#: The long trace: so many intervals of so many seconds, an hour in all.
INTERVAL_SECONDS = 10
KEPT_INTERVALS = 360
#: The present rate is taken over so many seconds.
RATE_SECONDS = 10.0
#: Upper bounds of the latency histogram, in seconds; above the last is one more class.
LATENCY_BOUNDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5)
STAGES = ("capture", "prepare", "infer", "finish")


class Newest(NamedTuple):
    """The newest frame; ``number`` counts results from 1."""

    number: int
    frame: Frame
    result: Result


class Point(NamedTuple):
    """A frame in the traces: score None when there is none, latency in milliseconds."""

    number: int
    score: float | None
    status: str
    latency_ms: float
    threshold: float


@dataclass
class Interval:
    """Some seconds of the long trace.

    Attributes:
        start: seconds since 1970.
        frames, anomalous, unreliable: counts.
        scored: frames that had a score.
        score_sum: of these.
        highest_score: None while there was none.
        threshold: the last one in use.
        latency_sum_ms, latency_max_ms: over the frames, in milliseconds.
    """

    start: float
    frames: int = 0
    anomalous: int = 0
    unreliable: int = 0
    scored: int = 0
    score_sum: float = 0.0
    highest_score: float | None = None
    threshold: float = 0.0
    latency_sum_ms: float = 0.0
    latency_max_ms: float = 0.0


@dataclass
class Latencies:
    """Counts of latencies since the start, as Prometheus wants them; seconds."""

    counts: list[int] = field(default_factory=lambda: [0] * (len(LATENCY_BOUNDS) + 1))
    total: float = 0.0
    stages: dict[str, float] = field(default_factory=lambda: dict.fromkeys(STAGES, 0.0))


class History:
    """Filled by the run's writer thread, read by the page's.

    Args:
        clock: seconds, never going back.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._newest: Newest | None = None
        self._number = 0
        self._points: deque[tuple[float, Point]] = deque(maxlen=KEPT_POINTS)
        self._intervals: deque[tuple[int, Interval]] = deque(maxlen=KEPT_INTERVALS)
        self._latencies = Latencies()
        self._broken: BrokenFrame | None = None
        self._last = self._opened = clock()
        self.started = time.time()
        self.ended = False

    def add(self, frame: Frame, result: Result) -> int:
        """Take a result and give its number; the frame, kept until the next one comes, must not change."""
        now, latency = self._clock(), result.timings.total
        score = result.score if math.isfinite(result.score) else None
        with self._lock:
            self._number += 1
            self._last = now
            self._newest = Newest(self._number, frame, result)
            point = Point(self._number, score, result.status, latency, result.threshold)
            self._points.append((now, point))
            self._add_to_interval(now, point)
            latencies = self._latencies
            latencies.counts[bisect_left(LATENCY_BOUNDS, latency / 1000)] += 1
            latencies.total += latency / 1000
            for stage in STAGES:
                latencies.stages[stage] += getattr(result.timings, stage) / 1000
            return self._number

    def _add_to_interval(self, now: float, point: Point) -> None:
        key = int(now // INTERVAL_SECONDS)
        if not self._intervals or self._intervals[-1][0] != key:
            self._intervals.append((key, Interval(time.time() - now % INTERVAL_SECONDS)))
        interval = self._intervals[-1][1]
        interval.frames += 1
        interval.anomalous += point.status == "anomalous"
        interval.unreliable += point.status == "unreliable"
        interval.threshold = point.threshold
        interval.latency_sum_ms += point.latency_ms
        interval.latency_max_ms = max(interval.latency_max_ms, point.latency_ms)
        if point.score is not None:
            interval.scored += 1
            interval.score_sum += point.score
            interval.highest_score = max(interval.highest_score or 0.0, point.score)

    def add_broken(self, frame: BrokenFrame) -> None:
        """Take note of a frame that could not be judged."""
        with self._lock:
            self._last = self._clock()
            self._broken = frame

    @property
    def newest(self) -> Newest | None:
        """The newest frame and its result, None before the first."""
        return self._newest

    @property
    def broken(self) -> BrokenFrame | None:
        """The last frame that could not be judged."""
        return self._broken

    @property
    def result_age(self) -> float:
        """Seconds since the last result, or since the page was opened."""
        return self._clock() - self._last

    def points_after(self, number: int) -> list[Point]:
        """The frames of the trace that came after frame ``number``, oldest first."""
        with self._lock:
            wanted = min(max(self._number - number, 0), len(self._points))
            return [point for _, point in islice(self._points, len(self._points) - wanted, None)]

    def intervals(self) -> list[dict[str, Any]]:
        """The intervals of the last hour that had a frame, oldest first, as fields for JSON."""
        oldest = int(self._clock() // INTERVAL_SECONDS) - KEPT_INTERVALS
        with self._lock:
            return [dict(vars(interval)) for key, interval in self._intervals if key > oldest]

    def latencies(self) -> Latencies:
        """A copy of the counts."""
        with self._lock:
            kept = self._latencies
            return Latencies(list(kept.counts), kept.total, dict(kept.stages))

    def rate(self) -> float:
        """Results a second over the last ten seconds, or over what the trace holds when that is less."""
        now = self._clock()
        with self._lock:
            if not self._points:
                return 0.0
            since = max(now - RATE_SECONDS, self._opened)
            full = len(self._points) == KEPT_POINTS and self._points[0][0] > since
            if full:  # the trace is shorter than ten seconds: count the steps between its frames
                return (KEPT_POINTS - 1) / max(now - self._points[0][0], 1e-3)
            count = sum(moment > since for moment, _ in self._points)
        return count / max(now - since, 1e-3)
