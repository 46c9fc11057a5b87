"""When a frame was taken: buffers between the camera and this program hold older ones.

A driver fills its buffers while this program decodes, so a frame that leaves a buffer now may be of earlier.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass

from dmdd_edge.runtime.sources.live_device import Device, Stamped

#: Seconds that ``grab`` takes at least when it waits for a frame, rather than finding it in a buffer.
WAITED = 0.002


@dataclass(frozen=True)
class Moment:
    """When a frame was grabbed, in seconds by ``time.perf_counter``.

    Attributes:
        taken: when it left the camera, as the driver says; else when it reached this program.
        after: a time that it certainly was taken after, except for the camera's own exposure and delay.
    """

    taken: float
    after: float


class Freshness:
    """Grabs frames and tells when each was taken.

    Without a time stamp of the driver, a frame for which ``grab`` had to wait arrived just then. One that was
    there at once came from a buffer, where it arrived after the frame before it: that is all that is certain.

    Args:
        device: delivers the frames.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stamped = device if isinstance(device, Stamped) else None
        self._last = float("-inf")

    def grab(self, stop: threading.Event) -> Moment:
        """Wait for the next frame.

        Raises:
            LostError: the device must be reopened.
            EndOfDeviceError: that was the last frame.
        """
        start = time.perf_counter()
        self._device.grab(stop)
        now = time.perf_counter()
        taken = None if self._stamped is None else self._stamped.taken()
        if taken is not None:
            self._last = taken
            return Moment(taken, taken)
        if now - start >= WAITED:
            self._last = now
        return Moment(now, self._last)
