"""A station for tests: a desk that records what it is asked, and parts with verdicts made by hand."""

from __future__ import annotations

import threading
from dataclasses import replace
from typing import Any

import numpy as np

from dmdd_edge.runtime.result import Region, Result
from dmdd_edge.runtime.station.model import (
    ErrorCode,
    InspectionResult,
    Origin,
    PartResult,
    StationState,
    Trigger,
)
from dmdd_edge.runtime.station.plc.handshake import Handshake
from dmdd_edge.runtime.station.settings import PlcSettings

READY = StationState(online=True, ready=True, recipe=1)


class Clock:
    """A clock that stands still until it is moved."""

    def __init__(self) -> None:
        self.now = 100.0

    def __call__(self) -> float:
        return self.now


class FakeDesk:
    """A station that accepts every trigger, unless ``answer`` says otherwise."""

    def __init__(self, state: StationState = READY) -> None:
        self.current = state
        self.answer: ErrorCode | None = None
        self.triggers: list[Trigger] = []
        self.recipes: list[int] = []
        self.cleared: int | None = 0
        self.instant = self.deaf = False
        self.triggered = threading.Event()

    def trigger(
        self,
        origin: Origin,
        part_id: int | None = None,
        encoder: int | None = None,
        since: float | None = None,
    ) -> int | ErrorCode:
        if self.answer is not None:
            return self.answer
        number = len(self.triggers) + 1
        self.triggers.append(
            Trigger(number, part_id or number, self.current.recipe, origin, 0.0, since or 0.0, encoder)
        )
        self.triggered.set()
        return number

    def request_recipe(self, number: int) -> None:
        self.recipes.append(number)
        if self.deaf:
            return
        if self.instant:
            self.current = replace(self.current, recipe=number)
            return
        self.current = replace(self.current, changing_to=number, ready=False)

    def clear_error(self) -> None:
        self.cleared += 1  # type: ignore[operator]
        self.current = replace(self.current, fault=False, code=ErrorCode.NONE, ready=True)

    def state(self) -> StationState:
        return self.current


def result(status: str = "good", score: float = 0.2, regions: int = 0) -> Result:
    """A result of one inspection with this normalized score."""
    return Result(
        "camera", 0, status, 0.0, score, score, 0.5, score > 0.5, np.zeros((4, 4), np.float32),
        tuple(Region(0, 0, 1, 1, 1, 0.9) for _ in range(regions)),
    )  # fmt: skip


def part(trigger: Trigger | int, status: str = "good", late: bool = False, **changes: Any) -> PartResult:
    """The verdict on a part with one inspection."""
    if isinstance(trigger, int):
        trigger = Trigger(trigger, trigger, 1, "camera", 0.0, 0.0)
    inspection = InspectionResult("lid", "top", None, result(status, 0.8 if status == "anomalous" else 0.2))
    made = PartResult(trigger, "first", status, late, (inspection,), 12.4)
    return replace(made, **changes)


class Bench:
    """A handshake between a fake station and a PLC that the test plays."""

    def __init__(self, state: StationState = READY, **settings: Any) -> None:
        self.clock, self.desk, self.alive = Clock(), FakeDesk(state), True
        self.missed: list[Any] = []
        self.handshake = Handshake(
            PlcSettings(**settings),
            self.desk,
            lambda: self.alive,
            self.missed.append,
            self.clock,
            lambda: 0.0,
        )
        self.handshake.begin()

    def write(self, **values: int) -> dict[str, int]:
        """What the PLC sees after it has written."""
        self.handshake.write(values, "modbus")
        return self.outputs()

    def enable(self) -> dict[str, int]:
        return self.write(TriggerEnable=1, Trigger=0)

    def trigger(self, part_id: int = 0) -> dict[str, int]:
        """A whole trigger; what the PLC sees while ``Trigger`` is 1."""
        seen = self.write(Trigger=1, PartID=part_id)
        self.write(Trigger=0)
        return seen

    def part(self, *arguments: Any, **changes: Any) -> dict[str, int]:
        self.handshake.part(part(*arguments, **changes))
        return self.outputs()

    def station(self, **changes: Any) -> dict[str, int]:
        """The station changes its state."""
        self.desk.current = replace(self.desk.current, **changes)
        self.handshake.changed(self.desk.current)
        return self.outputs()

    def wait(self, seconds: float) -> dict[str, int]:
        """Let time pass as the thread does: woken whenever something is due."""
        end = self.clock.now + seconds
        while (due := self.handshake.due()) <= end:
            self.clock.now = max(self.clock.now, due)
            self.handshake.tick()
        self.clock.now = end
        self.handshake.tick()
        return self.outputs()

    def outputs(self) -> dict[str, int]:
        return self.handshake.outputs()
