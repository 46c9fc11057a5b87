"""What the page of a station remembers: the newest image of each inspection, the last parts, latencies."""

from __future__ import annotations

import math
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from typing import Any

from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.latencies import Histogram, Latencies, Latency
from dmdd_edge.runtime.page.history import RATE_SECONDS, Newest
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.station.model import PartResult

#: Number of parts that the page lists.
KEPT_PARTS = 20
#: Number of parts over which the rate is measured.
_RATE_PARTS = 1000


class Latest:
    """The newest frame of an inspection."""

    newest: Newest | None = None


class Board:
    """Filled by the threads of the station, read by the page's thread.

    Args:
        inspections: their names.
        clock: monotonic, in seconds.

    Attributes:
        latest: the newest frame of each inspection.
        started: when the page was opened, by ``time.time``.
        ended: whether the station has ended.
    """

    def __init__(self, inspections: Iterable[str], clock: Callable[[], float] = time.monotonic) -> None:
        self.latest = {name: Latest() for name in inspections}
        self._clock = clock
        self._lock = threading.Lock()
        self._number = 0
        self._parts: deque[dict[str, Any]] = deque(maxlen=KEPT_PARTS)
        self._times: deque[float] = deque(maxlen=_RATE_PARTS)
        self._latencies = Latencies()
        self._opened = clock()
        self.started = time.time()
        self.ended = False

    def result(self, frame: Frame, result: Result) -> int:
        """Add a result, whose source is its inspection; returns its number, from 1."""
        with self._lock:
            self._number += 1
            if result.source in self.latest:
                self.latest[result.source].newest = Newest(self._number, frame, result)
            return self._number

    def part(self, part: PartResult) -> None:
        """Add a part."""
        trigger = part.trigger
        line = {
            "part_id": trigger.part_id,
            "acquisition_id": trigger.acquisition_id,
            "recipe": trigger.recipe,
            "time": trigger.time,
            "status": part.status,
            "passed": part.passed,
            "late": part.late,
            "score": round(part.score, 6),
            "latency_ms": round(part.latency_ms, 3),
            "error": next((each.error for each in part.inspections if each.result is None), ""),
        }
        with self._lock:
            self._parts.append(line)
            self._times.append(self._clock())
            if math.isfinite(part.latency_ms):
                self._latencies.add_total(part.latency_ms)

    def parts(self) -> list[dict[str, Any]]:
        """The last parts, the newest first."""
        with self._lock:
            return list(reversed(self._parts))

    def rate(self) -> float:
        """Parts per second over the last ten seconds."""
        now = self._clock()
        since = max(now - RATE_SECONDS, self._opened)
        with self._lock:
            count = sum(when > since for when in self._times)
            if count == _RATE_PARTS:
                since = self._times[0]
        return count / max(now - since, 1e-3)

    def latency(self) -> tuple[Latency, Histogram]:
        """Time from trigger to verdict: percentiles, and all since the start."""
        with self._lock:
            return self._latencies.percentiles(), self._latencies.histogram()
