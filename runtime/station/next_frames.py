"""Triggers ``newest`` and ``free``: frames of a camera that runs by itself."""

from __future__ import annotations

import time
import weakref
from collections.abc import Callable

from dmdd_edge.runtime.sources.freshness import Moment
from dmdd_edge.runtime.sources.grabber import Arrival
from dmdd_edge.runtime.sources.thinning import Thinner
from dmdd_edge.runtime.station.frame_requests import FrameRequests, Request


class NextFrames(FrameRequests):
    """Answers each request with the first frame that was grabbed after its trigger.

    Two triggers between two frames get the same image. Frames that no request waits for are not decoded.

    Args:
        name, label: see ``FrameRequests``.
        settle: seconds by which a frame must have been grabbed after the trigger.
    """

    def __init__(self, name: str, label: str, settle: float = 0.0) -> None:
        super().__init__(name, label)
        self._settle = settle

    def wants(self, moment: Moment) -> bool:
        """Whether a request waits for it."""
        with self._changed:
            return any(self._suits(request, moment) for request in self._open)

    def _take(self, arrival: Arrival) -> None:
        with self._changed:
            for request in [one for one in self._open if self._suits(one, arrival.moment)]:
                self._open.remove(request)
                self._answer(request, self._frame(arrival))

    def _suits(self, request: Request, moment: Moment) -> bool:
        return moment.after >= request.since + self._settle


class FreeFrames(NextFrames):
    """Begins a part with the newest frame, whenever the one before was taken.

    A trigger from elsewhere is answered as by ``NextFrames``.

    Args:
        name, label, settle: see ``NextFrames``.
        thinner: makes what selects the frames that may begin a part, once the camera is open.
        arrived: see ``StationCamera.lead``; None when another camera begins the parts.
    """

    def __init__(
        self,
        name: str,
        label: str,
        settle: float,
        thinner: Callable[[], Thinner],
        arrived: Callable[[Request, float], None] | None,
    ) -> None:
        super().__init__(name, label, settle)
        self._make_thinner, self._arrived = thinner, arrived
        self._thinner = Thinner()
        # Weak, so that a part that is given up makes room for the next frame.
        self._offered: Callable[[], Request | None] = _nothing
        self._held: Arrival | None = None
        self._leads = False

    def start(self) -> None:
        """Select frames as the open camera requires."""
        self._thinner = self._make_thinner()

    def wants(self, moment: Moment) -> bool:
        """Whether a request waits for it, or it may begin a part."""
        self._leads = self._arrived is not None and self._thinner.wants(time.monotonic())
        return super().wants(moment) or self._leads

    def _take(self, arrival: Arrival) -> None:
        super()._take(arrival)
        if not self._leads or self._arrived is None:
            return
        with self._changed:
            if self._stopped:
                return
            offered, self._held = self._offered(), arrival
            if offered is not None:
                # Nobody took the frame before; this one replaces it.
                offered.since = arrival.moment.taken
                self._drop()
                return
            offered = Request(self, arrival.moment.taken)
            offered.done = True
            self._offered = weakref.ref(offered)
        self._arrived(offered, offered.since)

    def _collected(self, request: Request) -> None:
        if request is self._offered() and self._held is not None:
            request.answer = self._frame(self._held)
            self._offered, self._held = _nothing, None


def _nothing() -> None:
    return None
