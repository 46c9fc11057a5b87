"""Notices to a person about a destination: at once, then at a limited rate."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

Say = Callable[[str], None]

_LOG = logging.getLogger(__name__)


def say_to_log(text: str) -> None:
    """Write to Python's log as a warning; the default receiver of notices."""
    _LOG.warning("%s", text)


def messages(count: int) -> str:
    """``1 message``, ``2 messages``."""
    return f"{count} message{'s' * (count != 1)}"


class Notices:
    """Gives notices of several kinds, each kind at most once per interval. Safe for several threads.

    Args:
        name: of the destination, without secrets; begins each line.
        say: receives each line.
        interval: in seconds.
    """

    def __init__(self, name: str, say: Say, interval: float = 60.0) -> None:
        self._name, self._say, self._interval = name, say, interval
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Give a notice now."""
        self._say(f"{self._name}: {text}")

    def sometimes(self, kind: str, text: str) -> bool:
        """Give a notice unless one of its kind came within the interval; returns whether it was given."""
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(kind, -self._interval) < self._interval:
                return False
            self._last[kind] = now
        self.say(text)
        return True
