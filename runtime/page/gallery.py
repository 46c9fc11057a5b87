"""The last anomalies with their pictures, bounded in number and in bytes."""

from __future__ import annotations

import asyncio
import logging
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.page.history import Newest
from dmdd_edge.runtime.page.images import Painter, caption, draw, jpeg
from dmdd_edge.runtime.result import Result

_LOG = logging.getLogger(__name__)

KEPT_ANOMALIES = 24
#: All pictures of anomalies together are at most this large; the oldest go first.
KEPT_BYTES = 6 << 20
#: Drawing takes time from the run, so of a burst of anomalies only so many get a picture.
ANOMALIES_PER_SECOND = 2
_LARGE, _SMALL = 1024, 240


@dataclass(frozen=True)
class Anomaly:
    """An anomalous frame.

    Attributes:
        caption: what is said about it.
        passed: anomalous frames between the one kept before and this one, that got no picture.
        large, small: JPEG.
    """

    caption: dict[str, Any]
    passed: int
    large: bytes = field(repr=False)
    small: bytes = field(repr=False)


class Gallery:
    """Offered anomalies by the run's writer thread, draws and keeps them in the page's.

    Args:
        wake: has ``offered`` set in the page's event loop; callable from any thread.
    """

    def __init__(self, wake: Callable[[Callable[[], None]], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: Newest | None = None
        self._passed = 0
        self._offered = asyncio.Event()
        self._kept: deque[Anomaly] = deque()
        self._last_gone = 0

    def offer(self, number: int, frame: Frame, result: Result) -> None:
        """Take an anomalous frame; one that still waits for its picture gives way to it."""
        with self._lock:
            replaced = self._waiting is not None
            self._passed += replaced
            self._waiting = Newest(number, frame, result)
        if not replaced:
            self._wake(self._offered.set)

    async def keep(self, painter: Painter) -> None:
        """Draw what is offered, for ever."""
        while True:
            await self._offered.wait()
            self._offered.clear()
            with self._lock:
                newest, self._waiting = self._waiting, None
                passed, self._passed = self._passed, 0
            if newest is not None:
                try:
                    large, small = await painter(_pictures, newest)
                except Exception:  # whatever it is, the next one may be fine and the run goes on
                    _LOG.warning("no picture of anomaly %s", newest.result.source, exc_info=True)
                else:
                    self._append(Anomaly(caption(newest), passed, large, small))
            await asyncio.sleep(1 / ANOMALIES_PER_SECOND)

    def _append(self, anomaly: Anomaly) -> None:
        self._kept.append(anomaly)
        while len(self._kept) > 1 and (len(self._kept) > KEPT_ANOMALIES or self.size > KEPT_BYTES):
            self._last_gone = self._kept.popleft().caption["number"]

    def let_go(self, number: int) -> bool:
        """Whether a picture of this number may have been here, and made room for newer ones."""
        return 0 < number <= self._last_gone

    @property
    def size(self) -> int:
        """Bytes of all pictures."""
        return sum(len(anomaly.large) + len(anomaly.small) for anomaly in self._kept)

    def listed(self) -> list[dict[str, Any]]:
        """What is said about each, the newest first, as fields for JSON."""
        return [{**anomaly.caption, "passed": anomaly.passed} for anomaly in reversed(self._kept)]

    def picture(self, number: int, small: bool) -> bytes | None:
        """The JPEG of the anomalous frame with this number; None when it is kept no more."""
        for anomaly in self._kept:
            if anomaly.caption["number"] == number:
                return anomaly.small if small else anomaly.large
        return None


def _pictures(newest: Newest) -> tuple[bytes, bytes]:
    _, frame, result = newest
    return jpeg(draw(frame, result, _LARGE)), jpeg(draw(frame, result, _SMALL), 75)
