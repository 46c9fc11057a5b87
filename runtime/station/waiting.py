"""Parts that were triggered and wait for the feed, in order."""

from __future__ import annotations

import threading
from collections import deque

from dmdd_edge.runtime.station.parts import Part


class WaitingParts:
    """A queue between the triggers and the feed; it never refuses, since its length is checked before."""

    def __init__(self) -> None:
        self._parts: deque[Part] = deque()
        self._changed = threading.Condition()

    def __len__(self) -> int:
        return len(self._parts)

    def __contains__(self, part: object) -> bool:
        with self._changed:
            return part in self._parts

    def put(self, part: Part) -> None:
        """Add a part at the end."""
        with self._changed:
            self._parts.append(part)
            self._changed.notify()

    def take(self, seconds: float) -> Part | None:
        """Take the first part; None when none comes in time, or after ``wake``."""
        with self._changed:
            if not self._parts:
                self._changed.wait(seconds)
            return self._parts.popleft() if self._parts else None

    def wake(self) -> None:
        """End a wait."""
        with self._changed:
            self._changed.notify_all()
