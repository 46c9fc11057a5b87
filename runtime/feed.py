"""Frames on their way to the graph: taken from a source and prepared while the graph is busy."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable, Generator, Iterator, Mapping
from typing import Protocol

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.part import PreparedPart
from dmdd_edge.runtime.sources import Source, SourceState
from dmdd_edge.runtime.sources.strips import Strips
from dmdd_edge.runtime.steps import Prepared

#: How long the end waits for a frame that is being read, in seconds.
_LEAVE_SECONDS = 2.0


class PartFeed(Protocol):
    """Delivers prepared parts to the loop, which calls ``next`` and ``ready`` from one thread."""

    @property
    def seconds(self) -> Mapping[str, float]:
        """Time spent on ``capture`` and on ``prepare``."""
        ...

    @property
    def ended_by(self) -> str:
        """What ended the parts, see ``Summary``; valid after the end."""
        ...

    @property
    def ready(self) -> bool:
        """Whether ``next`` returns at once; False where that is unknown.

        While it is False the loop finishes what is under way: a result must not wait for the next part.
        """
        ...

    def next(self) -> PreparedPart | None:
        """Wait for the next part; None at the end.

        Raises:
            DmddError: no more parts can come.
        """
        ...

    def stop(self) -> None:
        """End the parts soon, also while ``next`` waits; from any thread, any number of times.

        Parts that were taken are still delivered.
        """
        ...

    def close(self) -> None:
        """Release what the feed holds; parts that wait are lost. Called after ``stop``."""
        ...

    def state(self) -> SourceState:
        """The state of what delivers the frames; from any thread."""
        ...


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

    Attributes:
        ended_by: what ended the frames, see ``Summary``; valid after the end.
        seconds: time spent on capture and preparation.
    """

    def __init__(self, source: Source, detector: Callable[[], Detector], limit: int | None) -> None:
        self._source = source
        self._frames: Iterator[Frame | BrokenFrame] | None = None
        self._detector, self._limit = detector, limit
        if limit is not None and isinstance(source, Strips):
            source.end_after(limit)
        self._stopped, self._taken = False, 0
        self.ended_by = "source"
        self.seconds = {"capture": 0.0, "prepare": 0.0}

    @property
    def ready(self) -> bool:
        """Whether ``next`` returns at once; unknown here, so False."""
        return False

    def next(self) -> PreparedPart | None:
        """Wait for the next frame, as a part of one; None at the end.

        Raises:
            DmddError: the source failed.
        """
        if self._limit is not None and self._taken >= self._limit:
            self.ended_by = "limit"
            return None
        start = time.perf_counter()
        if self._frames is None:
            self._frames = iter(self._source)
        frame = next(self._frames, None)
        captured = time.perf_counter()
        self.seconds["capture"] += captured - start
        if frame is None:
            self.ended_by = "stop" if self._stopped else "source"
            return None
        self._taken += 1
        item = prepare(self._detector(), frame)
        self.seconds["prepare"] += time.perf_counter() - captured
        return PreparedPart((item,))

    def stop(self) -> None:
        """Ask the source to end; what was taken is still delivered."""
        self._stopped = True
        self._source.stop()

    def close(self) -> None:
        """Stop; no more frames are taken.

        A camera is released before the program ends: one in a network would stay taken until it missed this
        program for some seconds.
        """
        if isinstance(self._frames, Generator):
            self._frames.close()

    def state(self) -> SourceState:
        """The state of the source."""
        return self._source.state()


class ReadAhead:
    """Takes frames in its own thread, a few ahead of the requested one: for files.

    Args:
        feed: takes the frames.
        room: number of frames that may wait.
    """

    def __init__(self, feed: Feed, room: int) -> None:
        self._feed = feed
        self._ready: queue.Queue[PreparedPart | BaseException | None] = queue.Queue(room)
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._work, name="dmdd-read", daemon=True)
        self._thread.start()

    @property
    def seconds(self) -> dict[str, float]:
        """Time spent on capture and preparation."""
        return self._feed.seconds

    @property
    def ended_by(self) -> str:
        """See ``Feed``."""
        return self._feed.ended_by

    @property
    def ready(self) -> bool:
        """Whether ``next`` returns at once."""
        return not self._ready.empty()

    def next(self) -> PreparedPart | None:
        """See ``Feed.next``."""
        item = self._ready.get()
        if isinstance(item, BaseException):
            raise item
        return item

    def stop(self) -> None:
        """See ``Feed.stop``."""
        self._feed.stop()

    def state(self) -> SourceState:
        """The state of the source."""
        return self._feed.state()

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

    def _put(self, item: PreparedPart | BaseException | None) -> bool:
        """Wait for room, but not forever: the taker may be gone."""
        while not self._closed.is_set():
            try:
                self._ready.put(item, timeout=0.1)
                return True
            except queue.Full:
                continue
        return False
