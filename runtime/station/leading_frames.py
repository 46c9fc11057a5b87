"""Trigger ``camera`` of the camera that begins the parts: every frame is one."""

from __future__ import annotations

import weakref
from collections.abc import Callable
from dataclasses import replace

from dmdd_edge.runtime.sources.freshness import Moment
from dmdd_edge.runtime.sources.grabber import Arrival
from dmdd_edge.runtime.sources.live_device import MissingFrameError
from dmdd_edge.runtime.station.frame_requests import FrameRequests, Request
from dmdd_edge.runtime.station.model import ErrorCode

#: Called with each frame that no part gets: when it was grabbed, by ``time.perf_counter``, and why.
Missed = Callable[[float, ErrorCode], None]


class LeadingFrames(FrameRequests):
    """Begins a part with each frame, in order; a frame that finds the queue full is reported.

    Args:
        name, label: see ``FrameRequests``.
        room: number of frames that may wait until ``FrameRequest.wait`` takes them; a request that nobody
            holds any more makes room too.
        arrived: see ``StationCamera.lead``.
        missed: see ``StationCamera.watch``.
    """

    def __init__(
        self, name: str, label: str, room: int, arrived: Callable[[Request, float], None], missed: Missed
    ) -> None:
        super().__init__(name, label)
        self._room, self._arrived, self._missed = room, arrived, missed
        self._waiting: weakref.WeakSet[Request] = weakref.WeakSet()
        self._missing: list[Arrival] = []
        self._last: float | None = None

    def wants(self, moment: Moment) -> bool:
        """Every frame is wanted."""
        return True

    def put(self, arrival: Arrival) -> None:
        """Begin a part; also for a frame that never arrived, whose time is between those of its neighbors."""
        if isinstance(arrival.image, MissingFrameError):
            self._missing.append(arrival)
            return
        taken, missing = arrival.moment.taken, self._missing
        last = taken if self._last is None else self._last
        for number, lost in enumerate(missing, start=1):
            between = last + (taken - last) * number / (len(missing) + 1)
            self._take(replace(lost, moment=replace(lost.moment, taken=between)))
        self._missing, self._last = [], taken
        self._take(arrival)

    def _take(self, arrival: Arrival) -> None:
        taken = arrival.moment.taken
        with self._changed:
            if self._stopped:
                return
            full = len(self._waiting) >= self._room
            if full:
                self._drop()
            else:
                request = Request(self, taken)
                self._answer(request, self._frame(arrival))
                self._waiting.add(request)
        if full:
            self._missed(taken, ErrorCode.QUEUE_OVERFLOW)
        else:
            self._arrived(request, taken)

    def _collected(self, request: Request) -> None:
        self._waiting.discard(request)
