"""How long to wait before the next attempt."""

from __future__ import annotations

import random


class Backoff:
    """Doubles from a first delay up to a longest one; each delay is spread by a quarter either way.

    The spread keeps many lines that lost the same receiver from coming back at the same moment.

    Args:
        first, longest: seconds.
    """

    def __init__(self, first: float, longest: float) -> None:
        self._first, self._longest = first, longest
        self._next = first
        self._random = random.Random()

    def reset(self) -> None:
        """Begin with the first delay again: an attempt has succeeded."""
        self._next = self._first

    def delay(self) -> float:
        """Seconds to wait now."""
        delay = self._next
        self._next = min(2 * delay, self._longest)
        return delay * self._random.uniform(0.75, 1.25)
