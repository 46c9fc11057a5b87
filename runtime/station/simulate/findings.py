"""What a simulated PLC found: its counts and times, and whether the station kept its promises."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from dmdd_edge.runtime.station.model import Missed, PartResult, StationState
from dmdd_edge.runtime.station.plc.client import Verdict

#: Parts of the station that are kept until the PLC has their result.
_KEPT = 100_000


@dataclass(frozen=True)
class Times:
    """Percentiles of a time in milliseconds; None without a part.

    Attributes:
        p50, p90, largest: of all parts.
    """

    p50: float | None
    p90: float | None
    largest: float | None

    @staticmethod
    def of(milliseconds: Sequence[float]) -> Times:
        """Of a series."""
        if not milliseconds:
            return Times(None, None, None)
        p50, p90, largest = np.percentile(milliseconds, (50, 90, 100), method="inverted_cdf")
        return Times(round(float(p50), 3), round(float(p90), 3), round(float(largest), 3))


@dataclass(frozen=True)
class Findings:
    """What a simulation found.

    Attributes:
        triggers: that the PLC gave, or that a camera's own trigger gave.
        answered: results that the PLC received.
        missed: triggers that the station refused.
        verdicts: number of results by the signal that was set: Pass, Fail, Unreliable, Suspect.
        trigger_to_result_ms: from before the trigger was written until ``ResultValid`` was read, by the PLC.
        overhead_ms: what of that is neither the camera nor the graph.
        broken: promises that the station did not keep, a sentence each.
        in_band: number of results with the signal ``InBand``.
        cleared: faults that the PLC cleared before it could begin, a sentence each.
    """

    triggers: int
    answered: int
    missed: int
    verdicts: dict[str, int]
    trigger_to_result_ms: Times
    overhead_ms: Times
    broken: tuple[str, ...] = field(default=())
    in_band: int = 0
    cleared: tuple[str, ...] = ()

    def to_json(self) -> dict[str, Any]:
        """As the fields of one JSON object; ``in_band`` and ``cleared`` only if there is one."""
        fields = {"type": "simulation", **asdict(self), "broken": list(self.broken)}
        fields["cleared"] = list(self.cleared)
        for name in ("in_band", "cleared"):
            if not fields[name]:
                del fields[name]
        return fields


class Witness:
    """An observer that keeps what the station decided, to compare it with what the PLC received.

    Args:
        patience: how long a result that the PLC has may be unknown here, in seconds. The station informs its
            observers one after the other, so the PLC may read a result before this observer has it.
    """

    def __init__(self, patience: float = 5.0) -> None:
        self._patience = patience
        self._lock = threading.Condition()
        self._parts: dict[int, PartResult] = {}
        self.missed_count = 0

    def part(self, part: PartResult) -> None:
        """Keep the verdict on a part."""
        with self._lock:
            self._parts[part.trigger.acquisition_id] = part
            if len(self._parts) > _KEPT:
                del self._parts[next(iter(self._parts))]
            self._lock.notify_all()

    def missed(self, missed: Missed) -> None:
        """Count a trigger that was refused."""
        with self._lock:
            self.missed_count += 1

    def changed(self, state: StationState) -> None:
        """Nothing: only verdicts are compared."""

    def close(self) -> None:
        """Nothing to release."""

    def take(self, acquisition_id: int) -> PartResult | None:
        """The verdict on a part, once; None when the station gave none, also after a wait."""
        with self._lock:
            self._lock.wait_for(lambda: acquisition_id in self._parts, self._patience)
            return self._parts.pop(acquisition_id, None)


class Judge:
    """Compares each result that the PLC received with what the station decided.

    Args:
        witness: what the station decided.
    """

    def __init__(self, witness: Witness) -> None:
        self._witness = witness
        self._last = 0
        self._seen: set[int] = set()
        self._total: list[float] = []
        self._overhead: list[float] = []
        self._verdicts: dict[str, int] = {}
        self._in_band = 0
        self._broken: dict[str, int] = {}

    @property
    def answered(self) -> int:
        """Number of results so far."""
        return sum(self._verdicts.values())

    def add(self, verdict: Verdict) -> PartResult | None:
        """Take a result of the PLC; returns what the station decided."""
        number = verdict.acquisition_id
        self._verdicts[verdict.verdict] = self._verdicts.get(verdict.verdict, 0) + 1
        self._in_band += verdict.in_band
        if number in self._seen:
            self._break("results came twice")
            return None
        self._seen.add(number)
        if number < self._last:
            self._break("results came out of order")
        self._last = max(self._last, number)
        part = self._witness.take(number)
        if part is None:
            self._break("results belong to no part of the station")
        elif part.trigger.part_id != verdict.part_id:
            self._break("results have the number of another part")
        if verdict.verdict == "Pass" and (part is None or not part.passed):
            self._break("results say Pass for a part that was not judged good")
        if part is not None and verdict.in_band != (part.status == "suspect"):
            self._break("results say InBand for a part that is not suspect, or do not say it for one that is")
        if part is not None and verdict.seconds is not None:
            total = 1000 * verdict.seconds
            self._total.append(total)
            self._overhead.append(max(total - camera_and_graph_ms(part), 0.0))
        return part

    def findings(self, triggers: int, missed: int, stopped: str = "") -> Findings:
        """The whole, at the end.

        Args:
            triggers: that were given, refused ones included.
            missed: that the station refused, by the PLC's count.
            stopped: why the simulation ended before all triggers were given; empty otherwise.
        """
        lost = triggers - missed - len(self._seen)
        if lost > 0:
            self._broken["triggers were accepted and got no result"] = lost
        refused = self._witness.missed_count
        if refused != missed:
            self._broken[f"refused triggers: the station counts {refused}, and the PLC {missed}"] = 0
        broken = [f"{count} {what}." if count else f"{what}." for what, count in self._broken.items()]
        return Findings(
            triggers,
            self.answered,
            missed,
            dict(sorted(self._verdicts.items())),
            Times.of(self._total),
            Times.of(self._overhead),
            (*([stopped] if stopped else []), *broken),
            self._in_band,
        )

    def _break(self, what: str) -> None:
        self._broken[what] = self._broken.get(what, 0) + 1


def camera_and_graph_ms(part: PartResult) -> float:
    """Time of a part until its last frame was there, and for its preparation, graphs and regions."""
    results = [each.result for each in part.inspections if each.result is not None]
    if not results:
        return part.latency_ms
    waited = max(1000 * (result.time - part.trigger.time) + result.timings.capture for result in results)
    worked = sum(result.timings.total - result.timings.capture for result in results)
    return max(waited, 0.0) + worked
