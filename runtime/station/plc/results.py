"""Results on their way to the PLC: in order, one at a time, until each is acknowledged or its pulse ends."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

from dmdd_edge.runtime.station.model import ErrorCode, PartResult
from dmdd_edge.runtime.station.plc.signals import IN_BAND, NAMED, VERDICTS, Values
from dmdd_edge.runtime.station.settings import PlcSettings

_WORDS = ("AcquisitionID", "PartID", "ScoreX10000", "RegionCount", "LatencyMs", "EncoderCount")


def verdict(part: PartResult) -> str:
    """The one of ``VERDICTS`` that a part gets; ``Pass`` only when nothing at all speaks against it."""
    if part.status == "anomalous":
        return "Fail"
    complete = part.inspections and all(
        each.result is not None and not each.error and each.code is ErrorCode.NONE
        for each in part.inspections
    )
    if part.status == "unreliable" or part.code is not ErrorCode.NONE or not complete:
        return "Unreliable"
    return "Pass" if part.passed else "Suspect"  # a suspect part too: it was not judged good


def words(part: PartResult) -> dict[str, int]:
    """The data words of a part, within the limits of their signals."""
    trigger = part.trigger
    given = {
        # Counters wrap around as those of a PLC do; measures stay at the largest value.
        "AcquisitionID": trigger.acquisition_id & 0xFFFFFFFF,
        "PartID": trigger.part_id & 0xFFFFFFFF,
        "EncoderCount": (trigger.encoder or 0) & 0xFFFFFFFF,
        "ScoreX10000": round(1e4 * part.score),
        "RegionCount": part.region_count,
        "LatencyMs": round(min(part.latency_ms, 1e6)),
    }
    return {name: max(0, min(value, NAMED["status"][name].limit)) for name, value in given.items()}


@dataclass
class _Waiting:
    words: Values
    verdict: str
    in_band: bool


class ResultChannel:
    """The queue of results, and the one that the PLC sees.

    Args:
        settings: whether results are held or pulsed, and for how long.

    Attributes:
        overdue: whether a result was not acknowledged in time; until it is, or until ``forgive``.
    """

    def __init__(self, settings: PlcSettings) -> None:
        self._hold = settings.result == "hold"
        self._patience = (settings.acknowledge_ms if self._hold else settings.pulse_ms) / 1000
        self._queue: deque[_Waiting] = deque()
        self._words: Values = dict.fromkeys(_WORDS, 0)
        self._shown: _Waiting | None = None
        self._acknowledged = False
        #: When patience ends: with the result that is shown, or with the pause before the next one.
        self._until: float | None = None
        self.overdue = False

    def __len__(self) -> int:
        return len(self._queue) + (self._shown is not None)

    def add(self, part: PartResult) -> None:
        """Queue a result; call ``step`` afterwards."""
        self._queue.append(_Waiting(words(part), verdict(part), part.status == "suspect"))

    def acknowledge(self, level: bool, now: float) -> None:
        """The level of ``ResultAck``."""
        self._acknowledged = level
        self.step(now)

    def step(self, now: float) -> None:
        """Do what the time demands."""
        if self._hold:
            self._step_held(now)
        else:
            self._step_pulsed(now)

    def _step_held(self, now: float) -> None:
        if self._shown is not None and self._acknowledged:
            self._shown, self._until, self.overdue = None, None, False
        if self._shown is None and self._queue and not self._acknowledged:
            self._show(now)
        if not len(self):
            self._until = None
        elif self._until is None:
            # ``ResultAck`` stays 1, so that the next result cannot be shown: that must end in time too.
            self._until = now + self._patience
        elif now >= self._until:
            self.overdue = True

    def _step_pulsed(self, now: float) -> None:
        if self._until is not None and now >= self._until:
            # The pause is as long as the pulse, so that a PLC that sees one also sees the other.
            ended, self._shown = self._shown is not None, None
            self._until = now + self._patience if ended else None
        if self._until is None and self._queue:
            self._show(now)

    def _show(self, now: float) -> None:
        self._shown = self._queue.popleft()
        self._words, self._until, self.overdue = self._shown.words, now + self._patience, False

    def withdraw(self) -> None:
        """No result that exists now may pass anymore, whatever happens later."""
        for each in (*self._queue, *([self._shown] if self._shown else [])):
            if each.verdict == "Pass":
                each.verdict = "Suspect"

    def forgive(self, now: float) -> None:
        """Wait for the acknowledgment once more."""
        self.overdue = False
        if self._hold and self._until is not None:
            self._until = now + self._patience

    def due(self) -> float | None:
        """When ``step`` must be called next; None when only an event can change anything."""
        return None if self._hold and self.overdue else self._until

    def outputs(self) -> dict[str, int]:
        """The signals of the result; the words stay after ``ResultValid`` has returned to 0."""
        bits = dict.fromkeys(("ResultValid", *VERDICTS, IN_BAND), 0)
        if self._shown is not None:
            bits |= {"ResultValid": 1, self._shown.verdict: 1, IN_BAND: int(self._shown.in_band)}
        return {**self._words, **bits}
