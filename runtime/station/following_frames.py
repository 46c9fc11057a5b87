"""Trigger ``camera`` of a further camera: its frames find the parts that another camera or a PLC began."""

from __future__ import annotations

import threading
import time
from collections import deque

from dmdd_edge.runtime.sources.freshness import Moment
from dmdd_edge.runtime.sources.grabber import Arrival
from dmdd_edge.runtime.station.frame_errors import FrameError
from dmdd_edge.runtime.station.frame_matching import Tolerance, verdict
from dmdd_edge.runtime.station.frame_requests import FrameRequests, Request
from dmdd_edge.runtime.station.leading_frames import Missed
from dmdd_edge.runtime.station.model import ErrorCode

_CHECK = (
    "Check the camera's trigger cable; raise match_ms if its frames always come that late, and keep it below "
    "half the shortest time between two parts."
)


class FollowingFrames(FrameRequests):
    """Finds the frame of each part in order and by time; one lost frame never shifts the later ones.

    Args:
        name, label: see ``FrameRequests``.
        room: number of frames that may wait for their part.
        match: seconds by which the times of a part and of its frame may differ.
        timeout: seconds that a frame waits for its part.
        missed: see ``StationCamera.watch``.
    """

    def __init__(
        self, name: str, label: str, room: int, match: float, timeout: float, missed: Missed
    ) -> None:
        super().__init__(name, label)
        self._room, self._timeout, self._missed = room, timeout, missed
        self._tolerance = Tolerance(match)
        self._frames: deque[Arrival] = deque()
        # Parts that were answered while their frame may still come.
        self._without: deque[float] = deque(maxlen=room)
        # Times of the frames to report: in a separate thread, since a request must not call its own caller.
        self._reports: deque[float] = deque()
        self._thread = threading.Thread(target=self._watch, name=f"watch {label}", daemon=True)

    def start(self) -> None:
        """Begin to report frames that no part claims."""
        if self._thread.ident is None:
            self._thread.start()

    def wants(self, moment: Moment) -> bool:
        """Every frame is wanted."""
        return True

    def _take(self, arrival: Arrival) -> None:
        with self._changed:
            self._frames.append(arrival)
            self._match()
            if len(self._frames) > self._room:
                self._discard(self._frames.popleft())
            self._changed.notify_all()

    def _requested(self) -> None:
        self._tolerance.part(self._open[-1].since)
        self._match()

    def _refused(self, request: Request) -> None:
        self._without.append(request.since)

    def _withdrawn(self, request: Request) -> None:
        self._without.append(request.since)

    def _match(self) -> None:
        while self._open and self._frames:
            tolerance = self._tolerance.seconds
            parts = [request.since for request in self._open]
            frames = [arrival.moment.taken for arrival in self._frames]
            decision = verdict(parts, frames, tolerance)
            if decision == "no part":
                self._discard(self._frames.popleft())
                continue
            request = self._open.popleft()
            if decision == "match":
                self._answer(request, self._frame(self._frames.popleft()))
            else:
                after = 1000 * (frames[0] - request.since)
                text = (
                    f"{self.name} has no frame within {1000 * tolerance:.0f} ms of the part's trigger; "
                    f"the next one came {after:.0f} ms after it."
                )
                error = FrameError(text, ErrorCode.NO_FRAME, _CHECK)
                self._answer(request, self._broken(error))

    def _discard(self, arrival: Arrival) -> None:
        """Count a frame that belongs to no part, and report it unless its part was answered without it."""
        self._drop()
        taken, early = arrival.moment.taken, self._tolerance.seconds
        for since in self._without:
            if since - early <= taken <= since + 2 * self._timeout:
                self._without.remove(since)
                return
        self._reports.append(taken)

    def _watch(self) -> None:
        while True:
            with self._changed:
                while not self._reports and not self._stopped:
                    left = None
                    if self._frames:
                        left = self._frames[0].moment.taken + self._timeout - time.perf_counter()
                        if left <= 0:
                            self._discard(self._frames.popleft())
                            continue
                    self._changed.wait(left)
                if self._stopped:
                    return
                taken = self._reports.popleft()
            self._missed(taken, ErrorCode.NO_FRAME)
