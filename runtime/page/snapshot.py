"""Snapshot of the run for the page's state, the metrics and the health check."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from dmdd_edge._version import __version__
from dmdd_edge.runtime.control import RunState
from dmdd_edge.runtime.page.gallery import Gallery
from dmdd_edge.runtime.page.history import History
from dmdd_edge.runtime.page.images import caption

#: Largest age of a live source's newest frame, and of the newest result, in seconds ...
HEALTHY_AGE = 10.0
#: ... or in frames at the rate that the source promises, whichever is longer.
HEALTHY_FRAMES = 5
#: Shortest time between two requests for the run's state, however many clients look, in seconds.
KEPT_SECONDS = 0.25

_SOURCE = (
    *("name", "live", "connected", "width", "height", "fps"),
    *("frames", "dropped", "reconnects", "frame_age", "message"),
)
_COUNTS = ("frames", "good", "anomalous", "unreliable", "skipped", "dropped")


class Run(Protocol):
    """The run that the page shows, ``RunControl``; called from the page's threads."""

    def state(self) -> RunState:
        """The state of the run now."""
        ...

    def set_threshold(self, value: float) -> float:
        """Use another threshold from the next frame on; returns the one before.

        Raises:
            DmddError: it is outside 0..1.
        """
        ...


@dataclass(frozen=True)
class Snapshot:
    """State of a run, and how recent its results are.

    Attributes:
        run: the state.
        rate: current rate, in results per second.
        result_age: seconds since the last result, or since the start.
        taken: when it was taken, by ``time.time``.
    """

    run: RunState
    rate: float
    result_age: float
    taken: float

    @property
    def age_limit(self) -> float:
        """Largest healthy age of a live source's newest frame, in seconds."""
        fps = self.run.source.fps
        return max(HEALTHY_AGE, HEALTHY_FRAMES / fps if fps else 0.0)

    def trouble(self) -> str:
        """Why the run is not healthy; empty if it is.

        Frames must keep coming from a live source only: files do not wait, a watched folder may stay empty
        for hours, and so may a camera that waits for triggers.
        """
        source, limit = self.run.source, self.age_limit
        if not source.connected:
            return source.message or "the source is not connected"
        if not source.live:
            return ""
        if source.triggered:
            return self._unanswered(limit)
        age = self.result_age if source.frame_age is None else source.frame_age
        if age > limit:
            return f"no frame for {age:.0f} s (at most {limit:.0f} s)"
        if self.result_age > limit:
            return f"frames arrive, but no result for {self.result_age:.0f} s (at most {limit:.0f} s)"
        return ""

    def _unanswered(self, limit: float) -> str:
        """Why a run whose camera waits for triggers is not healthy: a frame of long ago has no result."""
        source, counts = self.run.source, self.run.summary
        waiting = source.frames - counts.frames - counts.skipped
        if waiting > 0 and source.frame_age is not None and source.frame_age > limit:
            return f"no result for a frame of {source.frame_age:.0f} s ago (at most {limit:.0f} s)"
        return ""


class Snapshots:
    """Takes snapshots, not more often than needed.

    Args:
        run: the run.
        history: its recent results.
        clock: monotonic, in seconds.
    """

    def __init__(self, run: Run, history: History, clock: Callable[[], float] = time.monotonic) -> None:
        self._run, self._history, self._clock = run, history, clock
        self._cached: tuple[float, Snapshot] | None = None

    def now(self) -> Snapshot:
        """The run as it is, or as it was up to a quarter of a second ago."""
        if self._cached is not None and self._clock() - self._cached[0] < KEPT_SECONDS:
            return self._cached[1]
        snapshot = Snapshot(self._run.state(), self._history.rate(), self._history.result_age, time.time())
        self._cached = (self._clock(), snapshot)
        return snapshot

    def forget(self) -> None:
        """Ask the run again next time, because something was changed."""
        self._cached = None


def health_json(snapshot: Snapshot) -> dict[str, Any]:
    """The answer of ``/healthz``, as fields for JSON."""
    reason, source = snapshot.trouble(), snapshot.run.source
    return {
        "status": "unhealthy" if reason else "ok",
        "reason": reason,
        "source": source.name,
        "connected": source.connected,
        "frame_age": source.frame_age,
        "result_age": round(snapshot.result_age, 3),
        "age_limit": snapshot.age_limit,
        "frames": snapshot.run.summary.frames,
    }


def drift_messages(reports: Mapping[str, Mapping[str, Any]], named: bool = False) -> list[str]:
    """The sentences of the drift warnings that last.

    Args:
        reports: of the drift watches by category or inspection.
        named: whether the name is added to a single one, too.
    """
    return [
        f"{name}: {warning['message']}" if named or len(reports) > 1 else warning["message"]
        for name, report in reports.items()
        for warning in report["warnings"]
    ]


def state_json(snapshot: Snapshot, history: History, gallery: Gallery, after: int) -> dict[str, Any]:
    """What the page shows, as fields for JSON.

    Args:
        snapshot: the run now.
        history: its traces.
        gallery: the last anomalies.
        after: number of the last point that the page already has.
    """
    run, newest, broken = snapshot.run, history.newest, history.broken
    summary = run.summary
    band = {} if run.suspect_threshold is None else {"suspect_threshold": run.suspect_threshold}
    suspect = {} if summary.suspect is None else {"suspect": summary.suspect}
    return {
        "program": __version__,
        "time": snapshot.taken,
        "started": history.started,
        "ended": history.ended,
        "category": run.category,
        "version": run.version,
        "backend": summary.backend,
        "message": run.message,
        "drift": drift_messages(summary.drift),
        "archive": summary.archive or None,
        "trouble": snapshot.trouble(),
        "threshold": run.threshold,
        **band,
        "counts": {**{name: getattr(summary, name) for name in _COUNTS}, **suspect},
        "latency_ms": asdict(summary.latency_ms),
        "age_ms": None if summary.age_ms is None else asdict(summary.age_ms),
        "rate": round(snapshot.rate, 2),
        "throughput": summary.throughput,
        "source": {name: getattr(run.source, name) for name in _SOURCE},
        "latest": None if newest is None else caption(newest),
        "skipped": None if broken is None else {"source": broken.source, "message": broken.error.message},
        "anomalies": gallery.listed(),
        "points": history.points_after(after),
    }
