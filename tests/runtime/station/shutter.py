"""A camera with a trigger that does what a test tells it, and a station's camera around it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import say_nothing
from dmdd_edge.runtime.sources.live_device import Stamp
from dmdd_edge.runtime.station.cameras import Camera
from dmdd_edge.runtime.station.frame_errors import code_of
from dmdd_edge.runtime.station.model import ErrorCode, FrameRequest
from dmdd_edge.runtime.station.settings import CameraSettings
from tests.runtime.sources.reading import PATIENCE
from tests.runtime.sources.scripted import Scripted

#: A time-out that no test waits for.
FOREVER = 1000.0


class Shutter(Scripted):
    """A camera that waits for triggers.

    Attributes:
        armed: whether it does.
        times: of a frame, by its number: what its driver says, by ``time.perf_counter``; now if omitted.
        errors: of a frame, by its number: what decoding it raises.
        shots: how often it was fired.
        answer: called at each shot, before ``fire`` returns.
        opening: called at each attempt to open it.
    """

    def __init__(self, armed: bool = True) -> None:
        super().__init__()
        self.armed = armed
        self.times: dict[int, float] = {}
        self.errors: dict[int, DmddError] = {}
        self.shots = 0
        self.answer: Callable[[], None] = lambda: None
        self.opening: Callable[[], object] = lambda: None
        self._fired = threading.Condition()

    def open(self, stop: threading.Event) -> None:
        self.opening()
        super().open(stop)

    def fire(self) -> None:
        with self._fired:
            self.shots += 1
            self._fired.notify_all()
        self.answer()

    def wait_for_shots(self, count: int) -> None:
        """Wait until it was fired this often."""
        with self._fired:
            assert self._fired.wait_for(lambda: self.shots >= count, PATIENCE)
            assert self.shots == count

    def stamp(self) -> Stamp:
        return Stamp(frame_id=self._now)

    def taken(self) -> float | None:
        return self.times.get(self._now, time.perf_counter())

    def retrieve(self) -> NDArray[np.uint8]:
        if self._now in self.errors:
            raise self.errors[self._now]
        return super().retrieve()


class Parts:
    """What a camera that begins parts told, and what it missed.

    Attributes:
        requests: of the parts, in order.
        times: of the parts.
        missed: frames that no part gets.
        then: called after each part.
    """

    def __init__(self) -> None:
        self.requests: list[FrameRequest] = []
        self.times: list[float] = []
        self.missed: list[tuple[float, ErrorCode]] = []
        self.then: Callable[[], None] = lambda: None
        self._changed = threading.Condition()

    def arrived(self, request: FrameRequest, since: float) -> None:
        with self._changed:
            self.requests.append(request)
            self.times.append(since)
            self._changed.notify_all()
        self.then()

    def lost(self, since: float, code: ErrorCode) -> None:
        with self._changed:
            self.missed.append((since, code))
            self._changed.notify_all()

    def wait_for_requests(self, count: int) -> None:
        """Wait until this number of parts began."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.requests) >= count, PATIENCE), self.missed

    def wait_for_missed(self, count: int) -> list[tuple[float, ErrorCode]]:
        """Wait until this number was missed."""
        with self._changed:
            assert self._changed.wait_for(lambda: len(self.missed) >= count, PATIENCE), self.missed
            return list(self.missed)


@contextmanager
def running(
    device: Scripted,
    trigger: str,
    parts: Parts | None = None,
    leads: bool = False,
    say: Callable[[str], None] = say_nothing,
    **settings: Any,
) -> Iterator[Camera]:
    """A station's camera that has been started; stopped at the end."""
    options = {"timeout_ms": 1000 * FOREVER} | settings
    camera = Camera(CameraSettings(name="top", source="fake", trigger=trigger, **options), device, say)  # type: ignore[arg-type]
    if parts is not None:
        camera.watch(parts.lost)
        if leads:
            camera.lead(parts.arrived)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


def shown(frame: Frame | BrokenFrame | None) -> int | ErrorCode | None:
    """The number of a frame, or the code of what it has instead of an image."""
    if isinstance(frame, BrokenFrame):
        return code_of(frame.error)
    return None if frame is None else int(frame.image[0, 0, 0])


def answer(request: FrameRequest, seconds: float = PATIENCE) -> int | ErrorCode | None:
    """Wait for the answer to a request: the number of its frame, or the code of its error."""
    return shown(request.wait(seconds))
