"""The pictures of the page: drawn small, only when asked for, by a thread that gives way to the run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import MIN_SIDE
from dmdd_edge.runtime.frame import Frame, as_bgr
from dmdd_edge.runtime.page.history import History, Newest
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay, scaled

Image = NDArray[np.uint8]
T = TypeVar("T")

#: The current frame is drawn at most so often, however many look.
PICTURES_PER_SECOND = 4
#: The longer side of a picture, in pixels.
LONGEST = 1280
_QUALITY = 82


def draw(frame: Frame, result: Result, longest: int = LONGEST, overlay: bool = True) -> Image:
    """Draw a frame at the size of a screen.

    Args:
        frame: of any size.
        result: what was found in it.
        longest: the longer side, in pixels, is at most this; unless the shorter would fall under 16.
        overlay: draw the result over it, and enlarge a frame that is too small for that (``draw_overlay``).

    Returns:
        uint8 H x W x 3 BGR.
    """
    if overlay:
        # The page writes the verdict as text.
        return draw_overlay(frame.image, result, longest, caption=False)
    image = frame.image
    scale = max(longest / max(image.shape[:2]), MIN_SIDE / min(image.shape[:2]))
    return as_bgr(scaled(image, result, min(scale, 1))[0])


def jpeg(picture: Image, quality: int = _QUALITY) -> bytes:
    """Encode a picture.

    Raises:
        ValueError: its side is more than JPEG can hold.
    """
    done, data = cv2.imencode(".jpg", picture, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("the picture cannot be encoded")
    return data.tobytes()


def caption(newest: Newest) -> dict[str, Any]:
    """What is said beside a picture, as fields for JSON."""
    number, _, result = newest
    line = result.to_json()
    kept = ("source", "index", "status", "score", "threshold")
    return {
        "number": number,
        **{name: line[name] for name in kept},
        "time": result.time,
        "reason": result.reason,
        "regions": len(result.regions),
    }


class Painter:
    """One thread that draws; of lower priority than the run where the system can do that."""

    def __init__(self) -> None:
        self._pool = ThreadPoolExecutor(1, "page-draw", initializer=_give_way)

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        """Do some work there."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        """End the thread, after what it is drawing now."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _give_way() -> None:
    # Linux takes a thread's number here; elsewhere it may be refused, and then nothing is lost but niceness.
    with contextlib.suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + 5, 19))


@dataclass(frozen=True)
class Drawn:
    """A picture of a frame, ready to be sent."""

    caption: dict[str, Any]
    data: bytes


class CurrentPicture:
    """The newest frame as a picture, shared by all who look.

    Args:
        history: holds the newest frame.
        painter: draws.
        clock: seconds, never going back.
    """

    def __init__(
        self, history: History, painter: Painter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._history, self._painter, self._clock = history, painter, clock
        self._drawn: dict[bool, tuple[float, Drawn]] = {}
        self._drawing = asyncio.Lock()

    async def get(self, overlay: bool) -> Drawn | None:
        """The newest frame's picture, or one drawn up to a quarter of a second ago; None before the first.

        Args:
            overlay: with the map over it, or the frame as it came.
        """
        async with self._drawing:
            newest, kept = self._history.newest, self._drawn.get(overlay)
            if newest is None:
                return None
            if kept is not None:
                moment, drawn = kept
                fresh = self._clock() - moment < 1 / PICTURES_PER_SECOND
                if fresh or drawn.caption["number"] == newest.number:
                    return drawn
            moment = self._clock()
            data = await self._painter(_draw_current, newest, overlay)
            self._drawn[overlay] = (moment, Drawn(caption(newest), data))
            return self._drawn[overlay][1]


def _draw_current(newest: Newest, overlay: bool) -> bytes:
    return jpeg(draw(newest.frame, newest.result, overlay=overlay))
