"""A station that runs, with cameras that do as they are told and observers that keep what they hear."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import SourceState
from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.engine import StationEngine
from dmdd_edge.runtime.station.frame_errors import FrameError
from dmdd_edge.runtime.station.model import (
    ErrorCode,
    FrameRequest,
    Missed,
    PartResult,
    StationState,
    TriggerMode,
)
from dmdd_edge.runtime.station.settings import StationSettings
from dmdd_edge.runtime.summary import Summary

Answer = Frame | BrokenFrame
#: Blue level of the pictures that a camera takes by default: 30 / 255 is below every threshold.
GOOD = 30


def wait_until(condition: Callable[[], bool], what: str = "") -> None:
    """Wait for a condition, generously."""
    end = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < end, what
        time.sleep(0.002)


def frame(level: int = GOOD, shape: tuple[int, int] = (64, 64), index: int = 0) -> Frame:
    """A picture of one color."""
    return Frame(np.full((*shape, 3), level, np.uint8), "camera", f"{index}", index, time.time())


def lost(name: str) -> BrokenFrame:
    """What a lost camera answers."""
    return BrokenFrame(name, 0, FrameError(f"Camera {name} is gone.", ErrorCode.CAMERA_LOST))


class Request:
    """A request that the test answers."""

    def __init__(self, since: float) -> None:
        self.since = since
        self.answer: Answer | None = None
        self.done = threading.Event()
        self.waited: list[float] = []

    def give(self, answer: Answer | None) -> None:
        self.answer = answer
        self.done.set()

    def wait(self, seconds: float) -> Answer | None:
        self.waited.append(seconds)
        self.done.wait(seconds)
        return self.answer


class Camera:
    """A camera; by default every request is answered at once with a picture of ``level``."""

    def __init__(self, name: str = "top", mode: TriggerMode = "newest") -> None:
        self.name, self.mode = name, mode
        self.level = GOOD
        self.answers: Callable[[], Answer | None] | None = lambda: frame(self.level)
        self.requests: deque[Request] = deque()
        self.asked = 0
        self.problem = ""
        self.refuses_to_open = ""
        self.opened = self.stops = 0
        self.arrived: Callable[[FrameRequest, float], None] | None = None
        self.missed: Callable[[float, ErrorCode], None] | None = None

    def request(self, since: float) -> Request:
        self.asked += 1
        request = Request(since)
        if self.answers is None:
            self.requests.append(request)
        else:
            request.give(self.answers())
        return request

    def lead(self, arrived: Callable[[FrameRequest, float], None]) -> None:
        self.arrived = arrived

    def watch(self, missed: Callable[[float, ErrorCode], None]) -> None:
        self.missed = missed

    def fire(self, level: int = GOOD) -> Request:
        """A frame of a camera that begins the parts."""
        assert self.arrived is not None
        request = Request(time.perf_counter())
        request.give(frame(level))
        self.arrived(request, request.since)
        return request

    def start(self) -> None:
        if self.refuses_to_open:
            raise DmddError(self.refuses_to_open)
        self.opened += 1

    def stop(self) -> None:
        self.stops += 1

    def state(self) -> SourceState:
        return SourceState(self.name, live=True, connected=not self.problem, message=self.problem)


class Notes:
    """An observer that keeps what it hears."""

    def __init__(self) -> None:
        self.parts: list[PartResult] = []
        self.misses: list[Missed] = []
        self.states: list[StationState] = []
        self.heard: list[str] = []

    def part(self, part: PartResult) -> None:
        self.parts.append(part)
        self.heard.append(f"part {part.trigger.acquisition_id}")

    def missed(self, missed: Missed) -> None:
        self.misses.append(missed)
        self.heard.append(f"missed {missed.code.name}")

    def changed(self, state: StationState) -> None:
        self.states.append(state)

    def close(self) -> None:
        self.heard.append("close")


class Running:
    """A station in a thread."""

    def __init__(self, engine: StationEngine) -> None:
        self.engine, self.desk, self.notes = engine, engine.desk, Notes()
        self.desk.events.observe(self.notes)
        self.ended = threading.Event()
        self.summary: Summary | None = None
        self.error: BaseException | None = None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> Summary | None:
        """End it, and wait for that."""
        self.ended.set()
        if self._thread.ident is not None:
            self._thread.join(60)
        assert not self._thread.is_alive()
        return self.summary

    def ready(self) -> None:
        """Wait until a trigger is accepted."""
        wait_until(lambda: self.desk.state().ready or self.error is not None, "not ready")
        assert self.error is None, self.error

    def verdicts(self, count: int) -> list[PartResult]:
        """Wait for so many verdicts."""
        wait_until(lambda: len(self.notes.parts) >= count, f"{count} verdicts")
        return self.notes.parts

    def trigger(self, count: int = 1, **fields: Any) -> list[int]:
        """Trigger as often, each time as soon as the station is ready; all are accepted."""
        numbers = []
        for _ in range(count):
            self.ready()
            answer = self.desk.trigger("modbus", **fields)
            assert not isinstance(answer, ErrorCode), answer
            numbers.append(answer)
        return numbers

    def _run(self) -> None:
        try:
            self.summary = self.engine.run(self.ended.is_set)
        except BaseException as error:
            self.error = error


@contextmanager
def running(
    settings: StationSettings, cameras: Mapping[str, Camera], sinks: Sequence[Any] = (), **fields: Any
) -> Iterator[Running]:
    """A station that is ready."""
    with opened(settings, cameras, sinks, **fields) as station:
        station.start()
        station.ready()
        yield station


@contextmanager
def opened(
    settings: StationSettings, cameras: Mapping[str, Camera], sinks: Sequence[Any] = (), **fields: Any
) -> Iterator[Running]:
    """A station that is not started yet."""
    with closing(Counters(settings.state_dir, print)) as counters:
        station = Running(StationEngine(settings, cameras, counters, sinks, **fields))
        try:
            yield station
        finally:
            station.stop()


def picture(patch: int, box: tuple[int, int, int, int], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A dark picture with a patch of blue at x, y, width, height."""
    image = np.full((*shape, 3), GOOD, np.uint8)
    x, y, width, height = box
    image[y : y + height, x : x + width, 0] = patch
    return image
