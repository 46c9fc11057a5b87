"""Counts the frames of an archive by what judged them, until ``counts.jsonl`` has them."""

from __future__ import annotations

import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from dmdd_edge.runtime.archive.choice import Choice
from dmdd_edge.runtime.archive.counts import Counts
from dmdd_edge.runtime.archive.record import Judged
from dmdd_edge.runtime.result import Result, utc_time


class Key(NamedTuple):
    """What a line of counts is about."""

    category: str
    version: str
    inspection: str
    threshold: float
    sample_rate: float
    precision: str = ""

    @classmethod
    def of(cls, judged: Judged) -> Key:
        """The line that a kept image belongs to."""
        return cls(*(getattr(judged, name) for name in cls._fields))


@dataclass
class _Line:
    since: float
    until: float
    counts: Counter[str] = field(default_factory=Counter)


class Tally:
    """Counts frames; safe for several threads.

    A frame is counted in the line of the bundle, the threshold and the precision that judged it, so a
    change of any begins a new line.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._lines: dict[Key, _Line] = {}

    def judged(self, key: Key, result: Result, choice: Choice | None) -> None:
        """Count a frame.

        Args:
            key: what judged it.
            result: what was found.
            choice: why it is kept; None if it is not.
        """
        sampled = choice is not None and choice.sampled
        with self._lock:
            counts = self._at(key, result.time or time.time())
            counts[result.status] += 1
            if sampled:
                counts["sampled"] += 1

    def lost(self, key: Key, choice: Choice) -> None:
        """Count a frame that was to be kept and is not."""
        self._count(key, "lost", choice.sampled)

    def deleted(self, record: Judged) -> None:
        """Count a kept image that was deleted to make room."""
        self._count(Key.of(record), "deleted", record.sampled)

    def take(self) -> list[Counts]:
        """The lines up to now; counting begins again at zero."""
        with self._lock:
            lines, self._lines = self._lines, {}
        return [
            Counts(since=utc_time(line.since), until=utc_time(line.until), **key._asdict(), **line.counts)
            for key, line in lines.items()
        ]

    def _count(self, key: Key, what: str, sampled: bool) -> None:
        with self._lock:
            counts = self._at(key, time.time())
            counts[what] += 1
            if sampled:
                counts[f"sampled_{what}"] += 1

    def _at(self, key: Key, moment: float) -> Counter[str]:
        line = self._lines.get(key)
        if line is None:
            line = self._lines[key] = _Line(moment, moment)
        line.since, line.until = min(line.since, moment), max(line.until, moment)
        return line.counts
