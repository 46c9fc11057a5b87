"""Delays between attempts, growing exponentially."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from a first delay up to a longest one; each delay varies randomly by a quarter.

    The variation keeps many lines that lost the same receiver from reconnecting at the same moment.

    Args:
        first, longest: seconds.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first
        self._random = random.Random()

    def reset(self) -> None:
        """Start again with the first delay, after an attempt that succeeded."""
        self._next = self._first

    def delay(self) -> float:
        """Seconds to wait now."""
        delay = self._next
        self._next = min(2 * delay, self._longest)
        return delay * self._random.uniform(0.75, 1.25)
