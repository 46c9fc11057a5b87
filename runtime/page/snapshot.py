"""The run at one moment, as the page's state, the metrics and the health check see it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

from dmdd_edge._version import __version__
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.images import caption
from dmdd_edge.runtime.page.interface import Control, SourceView
from dmdd_edge.runtime.summary import Summary

#: A live source's newest frame, and the newest result of it, may be this old, in seconds ...
HEALTHY_AGE = 10.0
#: ... or as old as so many frames at the rate that the source promises, when that is longer.
HEALTHY_FRAMES = 5
#: The run is asked how it does at most once in so many seconds, however many look.
KEPT_SECONDS = 0.25

_SOURCE = (
    *("name", "live", "connected", "width", "height", "fps"),
    *("frames", "dropped", "reconnects", "frame_age", "message"),
)


@dataclass(frozen=True)
class Snapshot:
    """What a run said of itself.

    Attributes:
        summary, source, threshold, category, version, backend, message: as ``Control`` gave them.
        rate: results a second, lately.
        result_age: seconds since the last result, or since the start.
        taken: by ``time.time``.
    """

    summary: Summary
    source: SourceView
    threshold: float
    category: str
    version: str
    backend: str
    message: str
    rate: float
    result_age: float
    taken: float

    @property
    def age_limit(self) -> float:
        """How old the newest frame of a live source may be, in seconds."""
        fps = self.source.fps
        return max(HEALTHY_AGE, HEALTHY_FRAMES / fps if fps else 0.0)

    def trouble(self) -> str:
        """Why the run is not healthy; empty when it is.

        Files wait for nobody, and a folder that is watched may stay empty for hours: only of a live source
        must frames keep coming.
        """
        source, limit = self.source, self.age_limit
        if not source.connected:
            return source.message or "the source is not connected"
        if not source.live:
            return ""
        age = self.result_age if source.frame_age is None else source.frame_age
        if age > limit:
            return f"no frame for {age:.0f} s (at most {limit:.0f} s)"
        if self.result_age > limit:
            return f"frames arrive, but no result for {self.result_age:.0f} s (at most {limit:.0f} s)"
        return ""


class Snapshots:
    """Takes moments, not more often than needed.

    Args:
        control: the run.
        history: what came out of it.
        clock: seconds, never going back.
    """

    def __init__(
        self, control: Control, history: History, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._control, self._history, self._clock = control, history, clock
        self._kept: tuple[float, Snapshot] | None = None

    def now(self) -> Snapshot:
        """The run as it is, or as it was up to a quarter of a second ago."""
        if self._kept is not None and self._clock() - self._kept[0] < KEPT_SECONDS:
            return self._kept[1]
        control, history = self._control, self._history
        snapshot = Snapshot(
            summary=control.summary(),
            source=control.source_state(),
            threshold=control.threshold,
            category=control.category,
            version=control.version,
            backend=control.backend,
            message=control.message,
            rate=history.rate(),
            result_age=history.result_age,
            taken=time.time(),
        )
        self._kept = (self._clock(), snapshot)
        return snapshot

    def forget(self) -> None:
        """Ask anew next time: something was changed."""
        self._kept = None


def health_json(snapshot: Snapshot) -> dict[str, Any]:
    """The answer of ``/healthz``, as fields for JSON."""
    reason = snapshot.trouble()
    return {
        "status": "unhealthy" if reason else "ok",
        "reason": reason,
        "source": snapshot.source.name,
        "connected": snapshot.source.connected,
        "frame_age": snapshot.source.frame_age,
        "result_age": round(snapshot.result_age, 3),
        "age_limit": snapshot.age_limit,
        "frames": snapshot.summary.frames,
    }


def state_json(snapshot: Snapshot, history: History, gallery: Gallery, after: int) -> dict[str, Any]:
    """What the page shows, as fields for JSON.

    Args:
        snapshot: the run now.
        history: the traces.
        gallery: the last anomalies.
        after: leave points up to this number out of the trace: the page has them.
    """
    summary, newest, broken = snapshot.summary, history.newest, history.broken
    counts = ("frames", "good", "anomalous", "unreliable", "skipped", "dropped")
    return {
        "program": __version__,
        "time": snapshot.taken,
        "started": history.started,
        "ended": history.ended,
        "category": snapshot.category,
        "version": snapshot.version,
        "backend": snapshot.backend,
        "message": snapshot.message,
        "trouble": snapshot.trouble(),
        "threshold": snapshot.threshold,
        "counts": {name: getattr(summary, name) for name in counts},
        "latency_ms": asdict(summary.latency_ms),
        "age_ms": None if summary.age_ms is None else asdict(summary.age_ms),
        "rate": round(snapshot.rate, 2),
        "throughput": summary.throughput,
        "source": {name: getattr(snapshot.source, name) for name in _SOURCE},
        "latest": None if newest is None else caption(newest),
        "skipped": None if broken is None else {"source": broken.source, "message": broken.error.message},
        "anomalies": gallery.listed(),
        "points": history.points_after(after),
    }
