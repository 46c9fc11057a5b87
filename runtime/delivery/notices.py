"""What is said to a person about a destination: at once, and then only once in a while."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable

Say = Callable[[str], None]

_LOG = logging.getLogger(__name__)


def say_to_log(text: str) -> None:
    """Say it where nobody else was named: in Python's log, as a warning."""
    _LOG.warning("%s", text)


def messages(count: int) -> str:
    """``1 message``, ``2 messages``."""
    return f"{count} message{'s' * (count != 1)}"


class Notices:
    """Says things of several kinds, each kind at most once an interval. Safe for several threads.

    Args:
        name: of the destination, without secrets; begins each line.
        say: takes a line.
        interval: seconds.
    """

    def __init__(self, name: str, say: Say, interval: float = 60.0) -> None:
        self._name, self._say, self._interval = name, say, interval
        self._last: dict[str, float] = {}
        self._lock = threading.Lock()

    def say(self, text: str) -> None:
        """Say it now."""
        self._say(f"{self._name}: {text}")

    def sometimes(self, kind: str, text: str) -> bool:
        """Say it, unless something of its kind was said within the interval; whether it was said."""
        now = time.monotonic()
        with self._lock:
            if now - self._last.get(kind, -self._interval) < self._interval:
                return False
            self._last[kind] = now
        self.say(text)
        return True
