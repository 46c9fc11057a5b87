"""Which frames of a live source are wanted."""

from __future__ import annotations


class Pick:
    """Chooses each N-th frame, and of those no more than so many a second.

    What is not chosen is not wanted: it is neither decoded nor counted as dropped.

    Args:
        every: each N-th frame, the first one included.
        fps: at most so many frames a second; None for all.
    """

    def __init__(self, every: int = 1, fps: float | None = None) -> None:
        self._every, self._period = every, None if fps is None else 1 / fps
        self._number = 0
        self._due: float | None = None

    def wants(self, now: float) -> bool:
        """Whether the frame that arrives at ``now`` (seconds, of a clock that never goes back) is wanted."""
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
        # On a grid, not from this frame on: else 30 frames a second, limited to 10, would give 7.5 as soon as
        # one comes a little early. After a pause the grid starts anew, so that nothing is made up for.
        self._due += self._period
        if self._due <= now:
            self._due = now + self._period
        return True
