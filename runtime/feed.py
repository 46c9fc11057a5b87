"""Frames on their way to the graph: taken from a source and prepared while the graph is busy."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Iterator

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector, Prepared
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source

#: How long the end waits for a frame that is being read, in seconds.
_LEAVE_SECONDS = 2.0


def prepare(detector: Detector, frame: Frame | BrokenFrame) -> Prepared | BrokenFrame:
    """Prepare a frame; one that cannot be prepared comes out broken."""
    if isinstance(frame, BrokenFrame):
        return frame
    try:
        return detector.prepare(frame)
    except DmddError as error:
        # The frame's fault (its size, its type), so the next one may be fine.
        return BrokenFrame(frame.source, frame.index, error, frame)


class Feed:
    """Takes one frame per request: for a live source, so that no frame is old.

    Args:
        source: delivers frames.
        detector: returns the detector in use, which may change.
        limit: number of frames after which the feed ends.
        stopped: whether the source was asked to stop.

    Attributes:
        ended_by: what ended the frames, see ``Summary``; valid after the end.
        seconds: time spent on capture and preparation.
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
        """Whether ``next`` returns at once; unknown here, so False."""
        return False

    def next(self) -> Prepared | BrokenFrame | None:
        """Wait for the next frame; None at the end.

        Raises:
            DmddError: the source failed.
        """
        if self._limit is not None and self._taken >= self._limit:
            self.ended_by = "limit"
            return None
        start = time.perf_counter()
        frame = next(self._frames, None)
        captured = time.perf_counter()
        self.seconds["capture"] += captured - start
        if frame is None:
            self.ended_by = "stop" if self._stopped() else "source"
            return None
        self._taken += 1
        item = prepare(self._detector(), frame)
        self.seconds["prepare"] += time.perf_counter() - captured
        return item

    def close(self) -> None:
        """Stop; no more frames are taken."""


class ReadAhead:
    """Takes frames in its own thread, a few ahead of the requested one: for files.

    Args:
        feed: takes the frames.
        room: number of frames that may wait.
    """

    def __init__(self, feed: Feed, room: int) -> None:
        self._feed = feed
        self._ready: queue.Queue[Prepared | BrokenFrame | BaseException | None] = queue.Queue(room)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dmdd-read", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent on capture and preparation."""
        return self._feed.seconds

    @property
    def ready(self) -> bool:
        """Whether ``next`` returns at once."""
        return not self._ready.empty()

    def next(self) -> Prepared | BrokenFrame | None:
        """See ``Feed.next``."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def close(self) -> None:
        """Stop; waiting frames are lost.

        A frame that is being read is waited for: a thread inside OpenCV aborts the program if the program
        ends meanwhile. A source that waits for something else is left alone.
        """
        self._closed.set()
        self._thread.join(_LEAVE_SECONDS)

    def _work(self) -> None:
        last: BaseException | None = None
        try:
            while (item := self._feed.next()) is not None:
                if not self._put(item):
                    return
        except BaseException as error:  # raised again in the thread that requests the next frame
            last = error
        self._put(last)

    def _put(self, item: Prepared | BrokenFrame | BaseException | None) -> bool:
        """Wait for room, but not forever: the taker may be gone."""
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
