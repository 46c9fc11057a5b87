"""Frames that wait for an archive's thread, within a bound of memory."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.maps import fit_map
from dmdd_edge.runtime.archive.choice import Choice
from dmdd_edge.runtime.archive.tally import Key
from dmdd_edge.runtime.result import Result

#: Memory for waiting images, in bytes: of the random sample, and of all others.
SAMPLE_ROOM, OTHER_ROOM = 16 << 20, 48 << 20
#: Longest side of a map that is kept, in pixels: that of a large image would be as large as the image.
LONGEST_MAP = 2048
#: How often a wait looks whether the run is to end, in seconds.
_LOOK = 0.2


@dataclass(frozen=True)
class Waiting:
    """A frame on its way into an archive.

    Attributes:
        image: uint8 H x W x 3 BGR, as the detector received it.
        index: of the frame.
        result: what was found.
        choice: why it is kept.
        key: what judged it.
    """

    image: NDArray[np.uint8] = field(repr=False)
    index: int
    result: Result
    choice: Choice
    key: Key

    @property
    def size(self) -> int:
        """Its memory in bytes."""
        return self.image.nbytes + self.result.anomaly_map.nbytes


def bounded(result: Result) -> Result:
    """The result with a map of at most ``LONGEST_MAP`` pixels a side, of which every peak is kept."""
    rows, columns = result.anomaly_map.shape
    scale = LONGEST_MAP / max(rows, columns, 1)  # a station drops maps
    if scale >= 1:
        return result
    width, height = max(round(columns * scale), 1), max(round(rows * scale), 1)
    return replace(result, anomaly_map=fit_map(result.anomaly_map, width, height))


class WaitingImages:
    """A queue with separate room for the random sample, which a flood of alarms must not push out.

    The sample is taken first. A frame that finds no room is refused: of a flood, the first and then every
    n-th image is kept. One frame always finds room in an empty queue, however large it is.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._sample: deque[Waiting] = deque()
        self._others: deque[Waiting] = deque()
        self._closed = False

    def put(self, item: Waiting, stopping: Callable[[], bool] | None = None) -> bool:
        """Add a frame.

        Args:
            item: the frame.
            stopping: wait for room until it is true; None does not wait.

        Returns:
            Whether there was room.
        """
        waiting, room = (self._sample, SAMPLE_ROOM) if item.choice.sampled else (self._others, OTHER_ROOM)
        with self._changed:
            while waiting and sum(each.size for each in waiting) + item.size > room:
                if stopping is None or self._closed or stopping():
                    return False
                self._changed.wait(_LOOK)
            waiting.append(item)
            self._changed.notify_all()
        return True

    def take(self, timeout: float) -> Waiting | None:
        """The next frame; None if none came within ``timeout`` seconds or the queue was closed."""
        with self._changed:
            if not self._sample and not self._others and not self._closed:
                self._changed.wait(timeout)
            for waiting in (self._sample, self._others):
                if waiting:
                    item = waiting.popleft()
                    self._changed.notify_all()
                    return item
        return None

    @property
    def closed(self) -> bool:
        """Whether it is closed and empty."""
        return self._closed and not self._sample and not self._others

    def close(self) -> None:
        """Take what waits, then end."""
        with self._changed:
            self._closed = True
            self._changed.notify_all()

    def drop(self) -> list[Waiting]:
        """Empty the queue; returns what waited."""
        with self._changed:
            dropped = [*self._sample, *self._others]
            self._sample.clear()
            self._others.clear()
            self._changed.notify_all()
        return dropped
