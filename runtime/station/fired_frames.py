"""Trigger ``software``: the station fires the camera, and each shot has one frame."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.sources.freshness import Moment
from dmdd_edge.runtime.sources.grabber import Arrival
from dmdd_edge.runtime.sources.live_device import LostError
from dmdd_edge.runtime.station.frame_errors import FrameError
from dmdd_edge.runtime.station.frame_requests import FrameRequests, Request
from dmdd_edge.runtime.station.model import ErrorCode

_SLOW = "Check the camera's exposure and network, or raise its timeout_ms."


class FiredFrames(FrameRequests):
    """Fires the camera for one request after the other: at once, or when the frame before has arrived.

    One shot at a time, so that a lost frame cannot shift those after it. When a frame does not come in time,
    the camera owes it: until it comes, and is dropped and counted, the camera is not fired and requests are
    answered with an error. When it does not come at all, the camera is reopened, so that it never comes.

    Args:
        name, label: see ``FrameRequests``.
        timeout: seconds that a frame may take after its shot.
        fire: takes one frame, see ``TriggerDevice.fire``.
        reopen: reopens the camera, see ``Grabber.reopen``.
    """

    def __init__(
        self,
        name: str,
        label: str,
        timeout: float,
        fire: Callable[[], None],
        reopen: Callable[[str], None],
    ) -> None:
        super().__init__(name, label)
        self._timeout, self._fire, self._reopen = timeout, fire, reopen
        self._shot: Request | None = None  # what was fired, and has no frame yet
        self._until = 0.0  # when the time of the shot, or of the frame that is owed, is over
        self._owes = False
        self._thread = threading.Thread(target=self._run, name=f"fire {label}", daemon=True)

    def start(self) -> None:
        """Begin to fire."""
        if self._thread.ident is None:
            self._thread.start()

    def stop(self) -> None:
        """Answer every request with None, the one that was fired too."""
        with self._changed:
            if self._shot is not None:
                self._shot.done, self._shot = True, None
            super().stop()

    def lost(self, error: DmddError) -> None:
        """Answer every request with the reason; a camera that was closed owes nothing."""
        with self._changed:
            super().lost(error)
            if self._shot is not None and self._why is not None:
                self._answer(self._shot, self._broken(self._why))
            self._shot, self._owes = None, False

    def end(self, error: BaseException | None) -> None:
        """No frame comes any more."""
        with self._changed:
            super().end(error)
            if self._shot is not None and self._why is not None:
                self._answer(self._shot, self._broken(self._why))
            self._shot = None

    def wants(self, moment: Moment) -> bool:
        """Whether a shot waits for it; one that comes too late, or that nobody fired, is counted."""
        with self._changed:
            if self._shot is not None:
                return True
            self._owes = False
            self._drop()
            self._changed.notify_all()
            return False

    def _take(self, arrival: Arrival) -> None:
        with self._changed:
            shot, self._shot = self._shot, None
            if shot is not None:
                self._answer(shot, self._frame(arrival))
            else:
                # Its request was withdrawn while it was decoded.
                self._owes = False
                self._drop()
            self._changed.notify_all()

    def _refusal(self) -> FrameError | None:
        return self._why or (self._owing() if self._owes else None)

    def _withdrawn(self, request: Request) -> None:
        if request is self._shot:
            self._overdue()

    def _owing(self) -> FrameError:
        return FrameError(
            f"{self.name} was not fired: the frame of an earlier trigger has not come yet.",
            ErrorCode.NO_FRAME,
            _SLOW,
        )

    def _overdue(self) -> None:
        """The time of a shot is over: wait as long again for its frame, to throw it away."""
        self._shot, self._owes = None, True
        self._until = time.perf_counter() + self._timeout
        self._answer_open(self._owing())
        self._changed.notify_all()

    # The firing thread.

    def _run(self) -> None:
        while (request := self._next()) is not None:
            try:
                self._fire()
            except LostError as lost:
                self._failed(request, f"{lost.reason}.", lost.fix)
                self._reopen(lost.reason)
            except DmddError as error:
                self._failed(request, error.message, error.fix)
            except Exception as error:  # of a driver: the next trigger must find this thread
                self._failed(request, f"{self.name} cannot be fired: {error}", "Report this as a bug.")

    def _next(self) -> Request | None:
        """Wait until a request is to be fired; None at the end."""
        while True:
            with self._changed:
                if self._stopped:
                    return None
                if self._shot is None and not self._owes:
                    if self._open:
                        self._shot = self._open.popleft()
                        self._until = time.perf_counter() + self._timeout
                        return self._shot
                    self._changed.wait()
                    continue
                left = self._until - time.perf_counter()
                if left > 0:
                    self._changed.wait(left)
                    continue
                if self._shot is not None:
                    text = f"{self.name} delivered no frame within {1000 * self._timeout:g} ms."
                    self._answer(self._shot, self._broken(FrameError(text, ErrorCode.NO_FRAME, _SLOW)))
                    self._overdue()
                    continue
                self._owes = False
                self._why = FrameError(f"{self.name} does not answer triggers.", ErrorCode.CAMERA_LOST, _SLOW)
            self._reopen(f"{self.name} did not deliver the frame of a trigger")

    def _failed(self, request: Request, message: str, fix: str) -> None:
        with self._changed:
            if request is self._shot:
                self._shot = None
                self._answer(request, self._broken(FrameError(message, ErrorCode.CAMERA_LOST, fix)))
