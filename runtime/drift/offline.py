"""The drift watch over results files: the same watch as of a run, after the fact."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import fmean
from typing import Any

from dmdd_edge.errors import DataError
from dmdd_edge.runtime.drift.observation import PICTURE, Measure, Notice, Observation, Place, Promise
from dmdd_edge.runtime.drift.results_file import Reading, Row, read_promises, read_rows, with_parts
from dmdd_edge.runtime.drift.watch import RUN_LENGTH, DriftWatch, passes
from dmdd_edge.runtime.drift.words import FIXES, ended, sentence
from dmdd_edge.runtime.result import utc_time

#: Points of a chart, at most.
_POINTS = 400


class Trace:
    """A measure over the frames as a bounded number of means."""

    def __init__(self) -> None:
        self._each = 1
        self._open: list[float] = []
        self._start = 0
        self.points: list[tuple[int, float]] = []

    def add(self, frame: int, value: float) -> None:
        """Take a value."""
        if not self._open:
            self._start = frame
        self._open.append(value)
        if len(self._open) == self._each:
            self.points.append((self._start, fmean(self._open)))
            self._open = []
            if len(self.points) == 2 * _POINTS:
                pairs = zip(self.points[::2], self.points[1::2], strict=True)
                self.points = [(first, (a + b) / 2) for (first, a), (_, b) in pairs]
                self._each *= 2


@dataclass
class Examined:
    """What the watch found on one inspection.

    Attributes:
        name, camera: of the inspection.
        frames: number of frames.
        scored: number of those whose score is a number.
        passed: number of those that pass, with such a score; the watch learns from them.
        statuses: number of each.
        first, last: time of the first and of the last frame, seconds since 1970.
        baselines: where the watch began to learn: the frame, and why.
        events: what began and ended, in order, with the cause at that moment.
        traces: each measure over the frames.
        report: see ``DriftWatch.state``; with the warnings that last, and the cause.
    """

    name: str
    camera: str
    frames: int = 0
    scored: int = 0
    passed: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    first: float = 0.0
    last: float = 0.0
    baselines: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)
    traces: dict[Measure, Trace] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """As fields of a JSON object, without the traces."""
        return {
            "camera": self.camera,
            "frames": self.frames,
            "scored": self.scored,
            "statuses": dict(self.statuses),
            "from": utc_time(self.first),
            "to": utc_time(self.last),
            "baselines": self.baselines,
            "events": self.events,
            **self.report,
        }


def examine(paths: Sequence[Path], run_length: int = RUN_LENGTH) -> tuple[list[Examined], Reading]:
    """Watch everything in some results files.

    Args:
        paths: the files; their rotated parts are read too.
        run_length: mean number of frames between two false warnings of an inspection.

    Raises:
        DataError: a file is missing, cannot be read, or no line in them is of a frame.
    """
    files, reading = with_parts(paths), Reading()
    read_promises(files, reading)
    watched: dict[str, _Inspection] = {}
    for row in read_rows(files, reading):
        if row.name not in watched:
            watched[row.name] = _Inspection(row, reading, run_length)
        watched[row.name].take(row)
    if not watched:
        raise DataError(
            f"{', '.join(map(str, paths))}: no line is of a frame.",
            "Name a file that run --jsonl or a station wrote.",
        )
    return [inspection.finish() for inspection in watched.values()], reading


class _Inspection:
    def __init__(self, row: Row, reading: Reading, run_length: int) -> None:
        self._reading, self._run_length = reading, run_length
        self.found = Examined(row.name, row.camera, first=row.seen.place.time)
        self._threshold = row.threshold
        self._begin(row, "first frame")

    def _promise(self, threshold: float) -> tuple[str, Promise | None]:
        """What is known of a threshold: the version of its bundle, and its promise."""
        known = self._reading
        for key in ((self.found.name, threshold), ("", threshold)):
            if key in known.versions:
                return known.versions[key], known.promises.get(key)
        return "", None

    def _begin(self, row: Row, why: str) -> None:
        self._version, promise = self._promise(row.threshold)
        self._watch = DriftWatch(promise, self._run_length)
        self._note_baseline(row.seen.place, why)

    def _note_baseline(self, place: Place, why: str) -> None:
        self.found.baselines.append({**place.to_json(), "reason": why, "threshold": self._threshold})

    def take(self, row: Row) -> None:
        found, seen = self.found, row.seen
        if row.threshold != self._threshold:
            self._threshold = row.threshold
            version, promise = self._promise(row.threshold)
            if version and self._version and version != self._version:
                self._begin(row, "another bundle")
            else:
                self._version = version or self._version
                self._watch.restart_scores(promise)
                self._note_baseline(seen.place, "another threshold: scores and alarms only")
        found.frames += 1
        found.scored += seen.score == seen.score
        found.passed += passes(seen)
        found.statuses["good" if seen.status == "gated" else seen.status] += 1
        found.last = max(found.last, seen.place.time)
        self._trace(seen)
        for notice in self._watch.add(seen):
            self._note(notice)

    def _trace(self, seen: Observation) -> None:
        traces, frame = self.found.traces, seen.place.frame
        if seen.look is not None:
            for measure, value in zip(PICTURE, seen.look, strict=True):
                traces.setdefault(measure, Trace()).add(frame, value)
        if seen.status == "good" and seen.score == seen.score:
            traces.setdefault("score", Trace()).add(frame, seen.score)
        if seen.status != "unreliable":
            traces.setdefault("alarms", Trace()).add(frame, float(seen.status == "anomalous"))

    def _note(self, notice: Notice) -> None:
        drift = notice.drift
        self.found.events.append(
            {
                "event": "warning" if notice.begins else "ended",
                **notice.place.to_json(),
                "measure": drift.measure,
                "since": drift.since.to_json(),
                "message": sentence(drift) if notice.begins else ended(drift),
                "cause": self._watch.cause() if notice.begins else None,
            }
        )

    def finish(self) -> Examined:
        for notice in self._watch.finish():
            self._note(notice)
        cause = self._watch.cause()
        self.found.report = {
            "warnings": [
                {
                    "measure": drift.measure,
                    "since": drift.since.to_json(),
                    "before": round(drift.before, 6),
                    "now": round(drift.now, 6),
                    "message": sentence(drift),
                }
                for drift in self._watch.drifts()
            ],
            "cause": cause,
            "fix": "" if cause is None else FIXES[cause],
            **{key: value for key, value in self._watch.state().items() if key != "frames"},
        }
        return self.found
