"""Frame thinning: which frames of a live source are used."""

from __future__ import annotations


class Thinner:
    """Selects every N-th frame, up to a maximum rate.

    Frames that are not selected are neither decoded nor counted as dropped.

    Args:
        every: N; the first frame is selected.
        fps: most frames per second; None for all.
    """

    def __init__(self, every: int = 1, fps: float | None = None) -> None:
        self._every, self._period = every, None if fps is None else 1 / fps
        self._number = 0
        self._due: float | None = None

    def wants(self, now: float) -> bool:
        """Whether to use the frame that arrives at ``now`` (seconds of a monotonic clock)."""
        number = self._number
        self._number += 1
        if number % self._every:
            return False
        if self._period is None:
            return True
        if self._due is None:
            self._due = now
        if now < self._due:
            return False
        # On a grid, not relative to this frame: else 30 frames per second, limited to 10, would give 7.5 when
        # one arrives a little early. After a pause the grid restarts, so that no frames are made up for.
        self._due += self._period
        if self._due <= now:
            self._due = now + self._period
        return True
