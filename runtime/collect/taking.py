"""Which frames of a source become images: all, by interval, by wish, or when the image changed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Protocol

from dmdd_edge.runtime.collect.stillness import Stillness
from dmdd_edge.runtime.frame import Frame


class Way(Protocol):
    """Says of each frame whether it is taken."""

    def takes(self, frame: Frame) -> bool:
        """Whether to take this frame; called with every frame, in order, from one thread."""
        ...


class Each:
    """Every frame: of a folder, or of a camera that a trigger fires."""

    def takes(self, frame: Frame) -> bool:
        """True."""
        return True


class Interval:
    """A frame whenever some time has passed since the one before.

    Args:
        seconds: between two frames.
        clock: monotonic, in seconds.
    """

    def __init__(self, seconds: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._seconds, self._clock = seconds, clock
        self._due = clock()

    def takes(self, frame: Frame) -> bool:
        """Whether the time has come."""
        now = self._clock()
        if now < self._due:
            return False
        self._due = max(self._due + self._seconds, now)
        return True


class Wish:
    """The first frame that was grabbed after a person requested one, from any thread."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._asked: float | None = None

    def ask(self) -> None:
        """Take the next frame; asking twice before it comes is one wish."""
        with self._lock:
            self._asked = time.time()

    def takes(self, frame: Frame) -> bool:
        """Whether somebody asked before this frame was grabbed."""
        with self._lock:
            if self._asked is None or frame.time < self._asked:
                return False
            self._asked = None
            return True


class Change:
    """A frame whenever another part has come to rest."""

    def __init__(self) -> None:
        self._stillness = Stillness()

    def takes(self, frame: Frame) -> bool:
        """Whether the image changed and is at rest."""
        return self._stillness.ready(frame.image)
