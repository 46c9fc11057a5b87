"""A camera's clock, read as this machine's: free of how long a frame waited on its way."""

from __future__ import annotations

from collections import deque

#: Number of frames from which the offset of the two clocks is taken, and their most age in seconds: a clock
#: that is wrong by 50 millionths moves by 3 ms meanwhile.
_FRAMES, _SECONDS = 256, 60.0
#: Seconds by which the two clocks may differ within that time before the camera's one is not trusted.
_APART = 1.0


class ClockMap:
    """Turns a camera's times into this machine's.

    The frame that took the shortest time on its way shows the offset of the clocks; a frame that waited
    longer in a network or in a busy program then still gets its own time, plus that shortest time.
    """

    def __init__(self) -> None:
        self._pairs: deque[tuple[float, float]] = deque(maxlen=_FRAMES)

    def reset(self) -> None:
        """Forget the offset: the camera's clock may have restarted."""
        self._pairs.clear()

    def local(self, here: float, there: float) -> float:
        """This machine's time of a frame.

        Args:
            here: this machine's clock when the frame arrived, in seconds.
            there: the camera's clock when it took the frame, in seconds.

        Returns:
            At most ``here``, which is also the answer for a clock that stands still, goes back, or runs at
            another rate.
        """
        if self._pairs:
            first, last = self._pairs[0], self._pairs[-1]
            apart = (here - first[0]) - (there - first[1])
            if there <= last[1] or abs(apart) > _APART:
                self._pairs.clear()
        while self._pairs and here - self._pairs[0][0] > _SECONDS:
            self._pairs.popleft()
        self._pairs.append((here, there))
        return min(here, there + min(one - other for one, other in self._pairs))
