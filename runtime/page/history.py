"""Recent history of a run for the page, in bounded memory: the newest frame and the traces."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from itertools import islice
from typing import Any, NamedTuple

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result

#: Number of frames in the short trace.
KEPT_POINTS = 600
#: The long trace: number and length of its intervals, an hour in all.
INTERVAL_SECONDS = 10
KEPT_INTERVALS = 360
#: Time over which the current rate is measured, in seconds.
RATE_SECONDS = 10.0


class Newest(NamedTuple):
    """The newest frame; ``number`` counts results from 1."""

    number: int
    frame: Frame
    result: Result


class Point(NamedTuple):
    """A frame in the traces; the score is None if the graph returned NaN, the latency is in milliseconds."""

    number: int
    score: float | None
    status: str
    latency_ms: float
    threshold: float


@dataclass
class Interval:
    """An interval of the long trace.

    Attributes:
        start: seconds since 1970.
        frames, anomalous, unreliable: counts.
        scored: frames that had a score.
        score_sum: sum of their scores.
        highest_score: None without a score.
        threshold: the last one in use.
        latency_sum_ms, latency_max_ms: over the frames, in milliseconds.
        suspect: count; not among the fields for JSON while it is 0.
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
    suspect: int = 0

    def to_json(self) -> dict[str, Any]:
        """As fields for JSON."""
        return {name: value for name, value in vars(self).items() if name != "suspect" or value}


class History:
    """Filled by the run's writer thread, read by the page's thread.

    Args:
        clock: monotonic, in seconds.

    Attributes:
        started: when the page was opened, by ``time.time``.
        ended: whether the run has ended.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._newest: Newest | None = None
        self._number = 0
        self._points: deque[tuple[float, Point]] = deque(maxlen=KEPT_POINTS)
        self._intervals: deque[tuple[int, Interval]] = deque(maxlen=KEPT_INTERVALS)
        self._broken: BrokenFrame | None = None
        self._last = self._opened = clock()
        self.started = time.time()
        self.ended = False

    def add(self, frame: Frame, result: Result) -> int:
        """Add a result and return its number; its frame must not change until the next one comes."""
        now, latency = self._clock(), result.timings.total
        score = result.score if math.isfinite(result.score) else None
        with self._lock:
            self._number += 1
            self._last = now
            self._newest = Newest(self._number, frame, result)
            point = Point(self._number, score, result.status, latency, result.threshold)
            self._points.append((now, point))
            self._add_to_interval(now, point)
            return self._number

    def _add_to_interval(self, now: float, point: Point) -> None:
        key = int(now // INTERVAL_SECONDS)
        if not self._intervals or self._intervals[-1][0] != key:
            self._intervals.append((key, Interval(time.time() - now % INTERVAL_SECONDS)))
        interval = self._intervals[-1][1]
        interval.frames += 1
        interval.anomalous += point.status == "anomalous"
        interval.unreliable += point.status == "unreliable"
        interval.suspect += point.status == "suspect"
        interval.threshold = point.threshold
        interval.latency_sum_ms += point.latency_ms
        interval.latency_max_ms = max(interval.latency_max_ms, point.latency_ms)
        if point.score is not None:
            interval.scored += 1
            interval.score_sum += point.score
            interval.highest_score = max(interval.highest_score or 0.0, point.score)

    def add_broken(self, frame: BrokenFrame) -> None:
        """Add a frame that could not be read or prepared."""
        with self._lock:
            self._last = self._clock()
            self._broken = frame

    @property
    def newest(self) -> Newest | None:
        """The newest frame and its result, None before the first."""
        return self._newest

    @property
    def broken(self) -> BrokenFrame | None:
        """The last frame that could not be read or prepared."""
        return self._broken

    @property
    def result_age(self) -> float:
        """Seconds since the last result, or since the page was opened."""
        return self._clock() - self._last

    def points_after(self, number: int) -> list[Point]:
        """Frames of the trace after frame ``number``, oldest first."""
        with self._lock:
            count = min(max(self._number - number, 0), len(self._points))
            return [point for _, point in islice(self._points, len(self._points) - count, None)]

    def intervals(self) -> list[dict[str, Any]]:
        """Intervals of the last hour that had a frame, oldest first, as fields for JSON."""
        oldest = int(self._clock() // INTERVAL_SECONDS) - KEPT_INTERVALS
        with self._lock:
            return [interval.to_json() for key, interval in self._intervals if key > oldest]

    def rate(self) -> float:
        """Results per second over the last ten seconds, or over the trace if that is shorter."""
        now = self._clock()
        with self._lock:
            if not self._points:
                return 0.0
            since = max(now - RATE_SECONDS, self._opened)
            full = len(self._points) == KEPT_POINTS and self._points[0][0] > since
            if full:  # the trace is shorter than ten seconds: count the steps between its frames
                return (KEPT_POINTS - 1) / max(now - self._points[0][0], 1e-3)
            count = sum(when > since for when, _ in self._points)
        return count / max(now - since, 1e-3)
