"""Frames on their way to the graph: taken from a source, and made ready while the graph is at work."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector, Prepared
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source

#: How long a frame that is being read is waited for at the end.
_LEAVE_SECONDS = 2.0


@dataclass(frozen=True)
class Item:
    """A frame that was taken.

    Attributes:
        frame: as the source gave it.
        prepared: the graph's input; of one that cannot be read or prepared, what is left of it.
        detector: the detector that prepared it.
    """

    frame: Frame | BrokenFrame
    prepared: Prepared | BrokenFrame
    detector: Detector


def prepare(detector: Detector, frame: Frame | BrokenFrame) -> Item:
    """Make a frame ready; one that cannot be comes out broken."""
    if isinstance(frame, BrokenFrame):
        return Item(frame, frame, detector)
    try:
        return Item(frame, detector.prepare(frame), detector)
    except DmddError as error:
        # The frame's fault (its size, its type), so the next one may be fine.
        return Item(frame, BrokenFrame(frame.source, frame.index, error), detector)


class Feed:
    """Takes frames one at a time, when they are asked for: for a live source, so that none is old.

    Args:
        source: where from.
        detector: the detector in use, which may change.
        limit: end after so many frames.
        stopped: whether the source was asked to stop.

    Attributes:
        ended_by: what ended the frames, see ``Summary``; meant for after the end.
    """

    def __init__(
        self,
        source: Source,
        detector: Callable[[], Detector],
        limit: int | None,
        stopped: Callable[[], bool] = lambda: False,
    ) -> None:
        self._frames: Iterator[Frame | BrokenFrame] = iter(source)
        self._detector, self._limit = detector, limit
        self._stopped, self._taken = stopped, 0
        self.ended_by = "source"
        self.seconds = {"capture": 0.0, "prepare": 0.0}

    @property
    def ready(self) -> bool:
        """Whether ``next`` returns at once; not known here, since only a frame tells."""
        return False

    def next(self) -> Item | None:
        """The next frame, waiting for it; None at the end.

        Raises:
            DmddError: the source failed.
        """
        if self._limit is not None and self._taken >= self._limit:
            self.ended_by = "limit"
            return None
        start = time.perf_counter()
        frame = next(self._frames, None)
        taken = time.perf_counter()
        self.seconds["capture"] += taken - start
        if frame is None:
            self.ended_by = "stop" if self._stopped() else "source"
            return None
        self._taken += 1
        item = prepare(self._detector(), frame)
        self.seconds["prepare"] += time.perf_counter() - taken
        return item

    def close(self) -> None:
        """Take no more."""


class ReadAhead:
    """Takes frames in a thread of its own, a few ahead of the one that is asked for: for files.

    Args:
        feed: what takes them.
        room: how many may wait.
    """

    def __init__(self, feed: Feed, room: int) -> None:
        self._feed = feed
        self._ready: queue.Queue[Item | BaseException | None] = queue.Queue(room)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dmdd-read", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> dict[str, float]:
        """How long capture and preparation took."""
        return self._feed.seconds

    @property
    def ready(self) -> bool:
        """Whether ``next`` returns at once."""
        return not self._ready.empty()

    def next(self) -> Item | None:
        """See ``Feed.next``."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Take no more; what waits is lost.

        A frame that is being read is waited for: a thread inside OpenCV aborts the program when that ends
        around it. A source that waits for something else is left alone.
        """
        self._closed.set()
        self._thread.join(_LEAVE_SECONDS)

    def _work(self) -> None:
        last: BaseException | None = None
        try:
            while (item := self._feed.next()) is not None:
                if not self._put(item):
                    return
        except BaseException as error:  # it belongs to whoever asks for the next frame
            last = error
        self._put(last)

    def _put(self, item: Item | BaseException | None) -> bool:
        """Wait for room, but not for ever: whoever was to take it may be gone."""
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
