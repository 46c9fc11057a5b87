"""Requests for frames of one camera, and what all ways of answering them share."""

from __future__ import annotations

import logging
import threading
from abc import ABC, abstractmethod
from collections import deque
from collections.abc import Iterable

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.freshness import Moment
from dmdd_edge.runtime.sources.grabber import Arrival
from dmdd_edge.runtime.sources.live_device import MissingFrameError
from dmdd_edge.runtime.station.frame_errors import FrameError
from dmdd_edge.runtime.station.model import ErrorCode

_log = logging.getLogger("dmdd_edge")


class Request:
    """A frame that was requested, see ``FrameRequest``.

    Args:
        owner: answers it.
        since: of its trigger, by ``time.perf_counter``.

    Attributes:
        since: as given.
        answer: the frame; None while it is open, and when it was withdrawn.
        done: whether it is answered or withdrawn.
    """

    def __init__(self, owner: FrameRequests, since: float) -> None:
        self._owner, self.since = owner, since
        self.answer: Frame | BrokenFrame | None = None
        self.done = False

    def wait(self, seconds: float) -> Frame | BrokenFrame | None:
        """Wait for the frame; None when it did not come in time, or when the camera was stopped."""
        return self._owner.wait(self, seconds)


class FrameRequests(ABC):
    """Requests of one camera, in order; the ``Taker`` of its frames.

    Subclasses say which frame answers which request, in ``wants`` and ``put``.

    Args:
        name: of the device, for a person.
        label: of the camera, valid as a folder name.

    Attributes:
        frames: number of frames that answered a request.
        dropped: number of frames that arrived and answered none.
    """

    def __init__(self, name: str, label: str) -> None:
        self.name, self._label = name, label
        # Reentrant, so that a signal handler may stop a camera while its thread reads the state.
        self._changed = threading.Condition(threading.RLock())
        self._open: deque[Request] = deque()
        self._why: FrameError | None = None  # why no frame can come
        self._stopped = False
        self._index = 0
        self._dropped_before = 0
        self.frames = self.dropped = 0

    def request(self, since: float) -> Request:
        """Ask for the frame of a trigger, see ``StationCamera.request``."""
        with self._changed:
            request = Request(self, since)
            refusal = self._refusal()
            if self._stopped:
                request.done = True
            elif refusal is not None:
                self._answer(request, self._broken(refusal))
                self._refused(request)
            else:
                self._open.append(request)
                self._requested()
                self._changed.notify_all()
            return request

    def wait(self, request: Request, seconds: float) -> Frame | BrokenFrame | None:
        """Wait for the answer to a request, and withdraw it when none comes in time."""
        with self._changed:
            self._changed.wait_for(lambda: request.done, max(0.0, seconds))
            if not request.done:
                request.done = True
                if request in self._open:
                    self._open.remove(request)
                self._withdrawn(request)
            self._collected(request)
            return request.answer

    def start(self) -> None:  # noqa: B027 (optional)
        """The camera is open, and its frames follow."""

    def stop(self) -> None:
        """Answer every open request with None, and each later one too."""
        with self._changed:
            self._stopped = True
            for request in self._open:
                request.done = True
            self._open.clear()
            self._changed.notify_all()

    def lost(self, error: DmddError) -> None:
        """Answer every request with the reason until the camera is back."""
        with self._changed:
            self._why = FrameError(error.message, ErrorCode.CAMERA_LOST, error.fix)
            self._answer_open(self._why)

    def back(self) -> None:
        """The device is open again."""
        with self._changed:
            self._why = None

    def end(self, error: BaseException | None) -> None:
        """No frame comes any more."""
        if error is not None:
            _log.error("%s failed", self.name, exc_info=error)
        what = "has no more frames" if error is None else f"failed: {type(error).__name__}: {error}"
        with self._changed:
            if not self._stopped:
                self._why = FrameError(f"{self.name} {what}.", ErrorCode.CAMERA_LOST)
                self._answer_open(self._why)

    @abstractmethod
    def wants(self, moment: Moment) -> bool:
        """Whether to decode the frame that was just grabbed."""
        ...

    def put(self, arrival: Arrival) -> None:
        """Take a frame; one that never arrived answers nothing, since nobody knows which trigger's it was."""
        if isinstance(arrival.image, MissingFrameError):
            self._drop()
        else:
            self._take(arrival)

    @abstractmethod
    def _take(self, arrival: Arrival) -> None:
        """Take a frame that arrived; it may be damaged."""
        ...

    # What subclasses may add.

    def _refusal(self) -> FrameError | None:
        """Why a request is answered at once; None when it waits. Called with the lock held."""
        return self._why

    def _refused(self, request: Request) -> None:  # noqa: B027 (optional)
        """A request was answered with the reason. Called with the lock held."""

    def _requested(self) -> None:  # noqa: B027 (optional)
        """A request was added. Called with the lock held."""

    def _withdrawn(self, request: Request) -> None:  # noqa: B027 (optional)
        """A request got no answer in time. Called with the lock held."""

    def _collected(self, request: Request) -> None:  # noqa: B027 (optional)
        """The answer to a request was taken. Called with the lock held."""

    # For subclasses; called with the lock held.

    def _answer(self, request: Request, frame: Frame | BrokenFrame) -> None:
        request.answer, request.done = frame, True
        self._changed.notify_all()

    def _answer_open(self, error: FrameError, requests: Iterable[Request] | None = None) -> None:
        """Answer requests with an error; all that are open by default."""
        for request in list(self._open) if requests is None else requests:
            self._open.remove(request)
            self._answer(request, self._broken(error))

    def _frame(self, arrival: Arrival) -> Frame | BrokenFrame:
        """The next frame of the camera."""
        dropped, self._dropped_before = self._dropped_before, 0
        frame = arrival.frame(self.name, self._label, self._index, dropped)
        self._index += 1
        self.frames += 1
        return frame

    def _broken(self, error: FrameError) -> BrokenFrame:
        frame = BrokenFrame(self.name, self._index, error)
        self._index += 1
        return frame

    def _drop(self) -> None:
        self.dropped += 1
        self._dropped_before += 1
