"""Statistics of a run: counted while it runs, summed up at its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any

from dmdd_edge.runtime.latencies import Histogram, Latencies, Latency, NewestValues
from dmdd_edge.runtime.result import Result


@dataclass(frozen=True)
class Summary:
    """Statistics of a run.

    Attributes:
        frames: frames that have a result: good, suspect, anomalous and unreliable ones.
        good, anomalous, unreliable: number of each.
        skipped: frames that could not be read or prepared.
        dropped: frames that a live source dropped.
        latency_ms: percentiles over the last 65,536 frames.
        throughput: frames per second, over the whole run.
        seconds: duration of the run.
        backend: what runs the graph, as ``--backend`` names it.
        age_ms: of a live source: percentiles of a frame's age when its result was ready.
        busy: share of the run that each part was busy, 0..1: capture, prepare, infer, write. They overlap.
        slowest: the part that limits the run; see ``busiest``.
        passed_over: what the source ignored, by kind; see ``SourceState``.
        archive: of a run with an archive: its path, images kept by reason, and images lost.
        hints: likely causes of what the run shows; see ``hints.Hint``.
        drift: what the drift watch found, by category or inspection; see ``WatchedInspection.report``.
        ended_by: ``source`` at the end of the source, ``limit`` after the requested number of frames,
            ``stop`` if a signal, the clock or a window ended the run before.
        suspect: number of suspect frames; None in a run without a band.
        gaps: of a run with ``--strip``: how often rows between two strips were missing; None of other runs.
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
    archive: dict[str, Any] = field(default_factory=dict)
    hints: tuple[dict[str, Any], ...] = ()
    drift: dict[str, Any] = field(default_factory=dict)
    ended_by: str = "source"
    suspect: int | None = None
    gaps: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The summary as the fields of one JSON line; ``suspect`` and ``gaps`` are left out where None."""
        fields = {"type": "summary", **asdict(self), "hints": list(self.hints)}
        for name in ("suspect", "gaps"):
            if fields[name] is None:
                del fields[name]
        return fields


class RunStatistics:
    """Counts during a run, in bounded memory; safe for several threads.

    Args:
        backend: what runs the graph.
        live: record the age of each result too.

    Attributes:
        drift: returns what the drift watch found, for the summary.
    """

    def __init__(self, backend: str, live: bool = False) -> None:
        self._backend = backend
        self._start = time.perf_counter()
        self._lock = threading.Lock()
        self._counts = {"good": 0, "anomalous": 0, "unreliable": 0}
        self._suspect: int | None = None  # a number as soon as a frame could be suspect
        self._latencies = Latencies()
        self._ages = NewestValues() if live else None
        self._skipped = 0
        self._dropped = 0
        self._hints: list[dict[str, Any]] = []
        #: What an archive has kept up to now; see ``ArchiveSink.figures``.
        self.archive: dict[str, Any] = {}
        self.drift: Callable[[], dict[str, Any]] = dict

    def restart_clock(self) -> None:
        """Count the duration from now on."""
        self._start = time.perf_counter()

    @property
    def frames(self) -> int:
        """Number of frames that have a result."""
        return sum(self._counts.values()) + (self._suspect or 0)

    @property
    def dropped(self) -> int:
        """Number of frames that a live source dropped before those that have a result."""
        return self._dropped

    def add(self, result: Result) -> None:
        """Count a result."""
        with self._lock:
            if result.suspect_threshold is not None or result.status == "suspect":
                self._suspect = (self._suspect or 0) + (result.status == "suspect")
            if result.status != "suspect":
                self._counts[result.status] += 1
            self._dropped += result.dropped
            self._latencies.add_timings(result.timings)
            if self._ages is not None:
                self._ages.add(max(1000 * (time.time() - result.time), 0.0))

    def skip(self) -> None:
        """Count a frame that has no result."""
        with self._lock:
            self._skipped += 1

    def hint(self, hint: dict[str, Any]) -> None:
        """Add a likely cause of what the run shows, for the summary."""
        with self._lock:
            self._hints.append(hint)

    def drop(self, frames: int) -> None:
        """Count frames that a live source dropped after the last one that has a result."""
        with self._lock:
            self._dropped += frames

    def histogram(self) -> Histogram:
        """Latencies since the start."""
        with self._lock:
            return self._latencies.histogram()

    def summary(
        self,
        busy: dict[str, float] | None = None,
        slowest: str = "",
        passed_over: Mapping[str, int] | None = None,
        ended_by: str = "source",
    ) -> Summary:
        """The statistics up to now.

        Args:
            busy, slowest, passed_over, ended_by: see ``Summary``.
        """
        drift = self.drift()
        with self._lock:
            seconds = time.perf_counter() - self._start
            return Summary(
                frames=self.frames,
                **self._counts,
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
                drift=drift,
                passed_over=dict(passed_over or {}),
                archive=self.archive,
                ended_by=ended_by,
                suspect=self._suspect,
            )


def threads(live: bool) -> tuple[tuple[str, ...], ...]:
    """The parts of a run by the thread that does them: of a live source, one does all but writing."""
    if live:
        return (("capture", "prepare", "infer"), ("write",))
    return (("capture", "prepare"), ("infer",), ("write",))


def busiest(busy: Mapping[str, float], live: bool) -> str:
    """The part that limits a run: the busiest one of the busiest thread.

    Args:
        busy: share of the run that each part was busy.
        live: whether the source is live.
    """
    thread = max(threads(live), key=lambda parts: sum(busy[part] for part in parts))
    return max(thread, key=lambda part: busy[part])
