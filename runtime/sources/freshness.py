"""When a frame was taken: buffers between the camera and this program hold older ones.

A driver fills its buffers while this program decodes, so a frame that leaves a buffer now may be of earlier.
"""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field

from dmdd_edge.runtime.sources.clock_map import ClockMap
from dmdd_edge.runtime.sources.live_device import Device, Stamp, Stamped, TriggerDevice

#: Seconds that ``grab`` takes at least when it waits for a frame, rather than finding it in a buffer.
WAITED = 0.002


@dataclass(frozen=True)
class Moment:
    """When a frame was grabbed, in seconds by ``time.perf_counter``.

    Attributes:
        taken: when it left the camera, as the driver says; else when it reached this program.
        after: a time that it certainly was taken after, except for the camera's own exposure and delay.
        stamp: what the camera itself says of it.
    """

    taken: float
    after: float
    stamp: Stamp = field(default_factory=Stamp)


class Freshness:
    """Grabs frames and tells when each was taken.

    Without a time stamp of the driver or the camera: a frame for which ``grab`` had to wait arrived as it
    returned. One that was there at once came from a buffer, where it arrived after the frame before it:
    nothing more is certain.

    Args:
        device: delivers the frames.
    """

    def __init__(self, device: Device) -> None:
        self._device = device
        self._stamped = device if isinstance(device, Stamped) else None
        self._trigger = device if isinstance(device, TriggerDevice) else None
        self._clock = ClockMap()
        self._last = float("-inf")

    def reset(self) -> None:
        """Begin again: the device was opened again."""
        self._clock.reset()

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
        stamp = Stamp() if self._trigger is None else self._trigger.stamp()
        if taken is None and stamp.device_time_ns is not None:
            taken = self._clock.local(now, 1e-9 * stamp.device_time_ns)
        if taken is not None:
            self._last = taken
            return Moment(taken, taken, stamp)
        if now - start >= WAITED:
            self._last = now
        return Moment(now, self._last, stamp)
