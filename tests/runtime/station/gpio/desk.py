"""A desk that answers triggers of a line, and verdicts to be shown on the lines."""

from __future__ import annotations

import threading
import time

from dmdd_edge.runtime.station.model import ErrorCode, Origin, PartResult, StationState, Trigger


class FakeDesk:
    """Answers triggers by the next id, or by the code that is set."""

    def __init__(self) -> None:
        self.times: list[float] = []
        self.code: ErrorCode | None = None
        self.last = 0
        #: Triggers that were answered; ``times`` has them as soon as they arrive.
        self.answered = 0
        #: Whoever holds it makes the desk slow.
        self.busy = threading.Lock()

    def trigger(
        self,
        origin: Origin,
        part_id: int | None = None,
        encoder: int | None = None,
        since: float | None = None,
    ) -> int | ErrorCode:
        assert origin == "gpio"
        assert since is not None
        self.times.append(since)
        with self.busy:
            pass
        answer: int | ErrorCode = self.last + 1
        if self.code is not None:
            answer = self.code
        else:
            self.last += 1
        self.answered += 1
        return answer

    def request_recipe(self, number: int) -> None:
        raise AssertionError

    def clear_error(self) -> None:
        raise AssertionError

    def state(self) -> StationState:
        raise AssertionError


def verdict(number: int, good: bool = True, origin: Origin = "gpio") -> PartResult:
    """The verdict on a part, now."""
    trigger = Trigger(number, number, 1, origin, time.time(), time.perf_counter())
    return PartResult(trigger, "r", "good" if good else "anomalous", False, (), 0.0)
