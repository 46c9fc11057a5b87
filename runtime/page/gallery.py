"""The last anomalies with their images, bounded in number and in bytes."""

from __future__ import annotations

import asyncio
import logging
import re
import threading
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.page.history import Newest
from dmdd_edge.runtime.page.images import Painter, caption, draw, jpeg
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.closeups import with_closeups

_LOG = logging.getLogger(__name__)

KEPT_ANOMALIES = 24
#: Largest size of all images of anomalies together, in bytes; the oldest are dropped first.
KEPT_BYTES = 6 << 20
#: Drawing takes time from the run, so only this many anomalies of a burst get an image.
ANOMALIES_PER_SECOND = 2
_LARGE, _SMALL = 1024, 240
_ADDRESS = re.compile(r"/anomalies/([0-9]{1,15})(-small)?\.jpg", re.ASCII)


@dataclass(frozen=True)
class Anomaly:
    """An anomalous or suspect frame.

    Attributes:
        caption: facts shown with it.
        passed: anomalous frames between the anomaly before and this one that got no image.
        large, small: JPEG.
    """

    caption: dict[str, Any]
    passed: int
    large: bytes = field(repr=False)
    small: bytes = field(repr=False)


class Gallery:
    """Receives anomalies from the run's writer thread; draws and stores them in the page's thread.

    Args:
        wake: runs a function in the page's event loop; callable from any thread.
    """

    def __init__(self, wake: Callable[[Callable[[], None]], None]) -> None:
        self._wake = wake
        self._lock = threading.Lock()
        self._waiting: Newest | None = None
        self._passed = 0
        self._offered = asyncio.Event()
        self._stored: deque[Anomaly] = deque()
        self._last_dropped = 0

    def offer(self, number: int, frame: Frame, result: Result) -> None:
        """Add an anomalous or suspect frame; it replaces one that still waits for its image."""
        with self._lock:
            replaced = self._waiting is not None
            self._passed += replaced
            self._waiting = Newest(number, frame, result)
        if not replaced:
            self._wake(self._offered.set)

    async def keep(self, painter: Painter) -> None:
        """Draw the offered frames, forever."""
        while True:
            await self._offered.wait()
            self._offered.clear()
            with self._lock:
                newest, self._waiting = self._waiting, None
                passed, self._passed = self._passed, 0
            if newest is not None:
                try:
                    large, small = await painter(_images, newest)
                except Exception:  # the next one may be fine, and the run continues
                    _LOG.warning("No image of anomaly %s.", newest.result.source, exc_info=True)
                else:
                    self._append(Anomaly(caption(newest), passed, large, small))
            await asyncio.sleep(1 / ANOMALIES_PER_SECOND)

    def _append(self, anomaly: Anomaly) -> None:
        self._stored.append(anomaly)
        while len(self._stored) > 1 and (len(self._stored) > KEPT_ANOMALIES or self.size > KEPT_BYTES):
            self._last_dropped = self._stored.popleft().caption["number"]

    @staticmethod
    def number_in(path: str) -> tuple[int, bool] | None:
        """Which image an address names: the number, and whether it is the small one; None for another one."""
        match = _ADDRESS.fullmatch(path)
        return None if match is None else (int(match[1]), match[2] is not None)

    def has_dropped(self, number: int) -> bool:
        """Whether an image of this number may have existed and been dropped for newer ones."""
        return 0 < number <= self._last_dropped

    @property
    def size(self) -> int:
        """Size of all images in bytes."""
        return sum(len(anomaly.large) + len(anomaly.small) for anomaly in self._stored)

    def listed(self) -> list[dict[str, Any]]:
        """Facts about each, newest first, as fields for JSON."""
        return [{**anomaly.caption, "passed": anomaly.passed} for anomaly in reversed(self._stored)]

    def image(self, number: int, small: bool) -> bytes | None:
        """JPEG of the anomalous frame with this number; None if it is no longer stored."""
        for anomaly in self._stored:
            if anomaly.caption["number"] == number:
                return anomaly.small if small else anomaly.large
        return None


def _images(newest: Newest) -> tuple[bytes, bytes]:
    _, frame, result = newest
    large = with_closeups(draw(frame, result, _LARGE), frame.image, result, _LARGE)
    return jpeg(large), jpeg(draw(frame, result, _SMALL), 75)
