"""A device that does what a test tells it, one step at a time."""

from __future__ import annotations

import queue
import threading

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.sources.live_device import EndOfDeviceError, LostError


class Scripted:
    """Gives a frame for each number that a test puts in; it raises anything else put in.

    Attributes:
        opened: how often it was opened.
        closed: how often it was closed.
        refusals: errors that the next calls of ``open`` raise, one each.
    """

    def __init__(self) -> None:
        self.name, self.label = "scripted camera", "scripted"
        self.opened = self.closed = 0
        self.refusals: list[DmddError] = []
        self._asked = self._put = 0
        self._changed = threading.Condition()
        self._steps: queue.SimpleQueue[int | Exception] = queue.SimpleQueue()
        self._now: int = 0

    def put(self, *steps: int | Exception) -> None:
        """Let it take these steps, whenever the source asks for them."""
        self._put += len(steps)
        for step in steps:
            self._steps.put(step)

    def give(self, *steps: int | Exception) -> None:
        """Let it take these steps, and wait until the source has dealt with all and asks for the next."""
        self.put(*steps)
        with self._changed:
            assert self._changed.wait_for(lambda: self._asked > self._put, timeout=60)

    def open(self, stop: threading.Event) -> None:
        if self.refusals:
            raise self.refusals.pop(0)
        self.opened += 1

    def grab(self, stop: threading.Event) -> None:
        with self._changed:
            self._asked += 1
            self._changed.notify_all()
        while not stop.is_set():
            try:
                step = self._steps.get(timeout=0.02)
            except queue.Empty:
                continue
            if isinstance(step, Exception) and not isinstance(step, DmddError):
                raise step
            self._now = step if isinstance(step, int) else -1
            return

    def retrieve(self) -> NDArray[np.uint8]:
        if self._now < 0:
            raise DmddError("a damaged frame")
        return np.full((32, 48, 3), self._now, np.uint8)

    def close(self) -> None:
        self.closed += 1

    def detail(self) -> str:
        return f"opened {self.opened} times"


LOST = LostError("the cable is out", "Plug it in.")
END = EndOfDeviceError()
