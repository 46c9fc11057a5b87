"""The summary of a station: its parts since it was started, and their frames."""

from __future__ import annotations

import threading
from dataclasses import asdict, dataclass, field, fields
from typing import Any

from dmdd_edge.runtime.latencies import Latency, NewestValues
from dmdd_edge.runtime.station.model import Missed, PartResult, StationState
from dmdd_edge.runtime.summary import Summary


@dataclass(frozen=True, kw_only=True)
class PartSummary:
    """What became of the parts since the start.

    Attributes:
        total: number of parts that have a verdict.
        passed: of these, those that passed: judged good, and in time.
        anomalous, unreliable: number of each.
        late: number of parts whose verdict came after the deadline.
        missed: triggers that were not looked at.
        recipes: number of parts by the recipe's number.
        latency_ms: percentiles from trigger to verdict, over the last 65,536 parts.
        suspect: number of suspect parts; None while no inspection has a band.
    """

    total: int = 0
    passed: int = 0
    anomalous: int = 0
    unreliable: int = 0
    late: int = 0
    missed: int = 0
    recipes: dict[int, int] = field(default_factory=dict)
    latency_ms: Latency = field(default_factory=lambda: Latency(None, None, None))
    suspect: int | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields of JSON; without a band it has no ``suspect``."""
        fields = asdict(self)
        if self.suspect is None:
            del fields["suspect"]
        return fields


@dataclass(frozen=True, kw_only=True)
class StationSummary(Summary):
    """The summary of a station. The other fields count the frames of all inspections, as those of a run.

    Attributes:
        parts: what became of the parts.
    """

    parts: PartSummary

    def to_json(self) -> dict[str, Any]:
        """The summary as the fields of one JSON line."""
        fields = {"type": "summary", "parts": None, **super().to_json()}
        fields["parts"] = self.parts.to_json()
        return fields


class Tally:
    """An observer that counts the parts of a station."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._latencies = NewestValues()
        self._counts = dict.fromkeys(("total", "passed", "anomalous", "unreliable", "late", "missed"), 0)
        self._suspect: int | None = None
        self._recipes: dict[int, int] = {}

    def part(self, part: PartResult) -> None:
        """Count a part."""
        recipe = part.trigger.recipe
        with self._lock:
            self._counts["total"] += 1
            self._counts["passed"] += part.passed
            self._counts["late"] += part.late
            if part.status in self._counts:
                self._counts[part.status] += 1
            if part.has_band:
                self._suspect = (self._suspect or 0) + (part.status == "suspect")
            self._recipes[recipe] = self._recipes.get(recipe, 0) + 1
            self._latencies.add(part.latency_ms)

    def missed(self, missed: Missed) -> None:
        """Count a trigger that was not looked at."""
        with self._lock:
            self._counts["missed"] += 1

    def changed(self, state: StationState) -> None:
        """Nothing: the state counts over all restarts."""

    def close(self) -> None:
        """Nothing to release."""

    def summary(self, frames: Summary) -> StationSummary:
        """The summary.

        Args:
            frames: of all inspections.
        """
        with self._lock:
            parts = PartSummary(
                **self._counts,
                suspect=self._suspect,
                recipes=dict(sorted(self._recipes.items())),
                latency_ms=self._latencies.percentiles(),
            )
        return StationSummary(
            **{each.name: getattr(frames, each.name) for each in fields(Summary)}, parts=parts
        )
