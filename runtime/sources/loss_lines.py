"""Lines for a person about a device that is lost and comes back."""

from __future__ import annotations

import time
from collections.abc import Callable

#: Minimum seconds between two lines about a lost device.
SAY_EVERY = 10.0


class LossLines:
    """Says each loss and each return, limited so that an unstable connection does not fill a log.

    Args:
        name: the device's name for a person, which may be known only once it is open.
        say: called with each line.
    """

    def __init__(self, name: Callable[[], str], say: Callable[[str], None]) -> None:
        self._name, self._say = name, say
        self._lost_at: float | None = None
        self._reported_at = float("-inf")

    def lost(self, reason: str) -> None:
        """The device is lost."""
        now = time.monotonic()
        if self._lost_at is None and now - self._reported_at >= SAY_EVERY:
            self._reported_at = self._lost_at = now
            self._say(f"{reason}; reconnecting.")

    def back(self) -> None:
        """The device delivers frames."""
        if self._lost_at is not None:
            self._say(f"{self._name()}: reconnected after {time.monotonic() - self._lost_at:.0f} s.")
            self._lost_at = None
