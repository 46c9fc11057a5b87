"""Images of the page: drawn at screen size, on request only, by a thread of lower priority than the run."""

from __future__ import annotations

import asyncio
import contextlib
import os
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol, TypeVar

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import MIN_SIDE
from dmdd_edge.runtime.frame import Frame, as_bgr
from dmdd_edge.runtime.page.history import Newest
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.closeups import places, sheet
from dmdd_edge.runtime.sinks.overlay_drawing import draw_overlay, scaled

Image = NDArray[np.uint8]
T = TypeVar("T")

#: The current frame is drawn at most this often, however many clients look.
IMAGES_PER_SECOND = 4
#: Longer side of an image, in pixels.
LONGEST = 1280
#: Side of a close-up, in pixels: three are side by side.
_CLOSEUP = 416
_QUALITY = 82


def draw(
    frame: Frame,
    result: Result,
    longest: int = LONGEST,
    overlay: bool = True,
    closeups: bool = False,
) -> Image:
    """Draw a frame at the size of a screen.

    Args:
        frame: of any size.
        result: its result.
        longest: largest longer side in pixels, unless the shorter one would fall below 16.
        overlay: draw the result over it, and enlarge a frame that is too small for that (``draw_overlay``).
        closeups: show the regions at full resolution instead; where there is no region, the frame.

    Returns:
        uint8 H x W x 3 BGR.
    """
    if closeups and (found := places(frame.image.shape, result, longest, always=True)):
        return sheet(frame.image, found, longest, _CLOSEUP)
    if overlay:
        # The page writes the verdict as text.
        return draw_overlay(frame.image, result, longest, caption=False)
    image = frame.image
    scale = max(longest / max(image.shape[:2]), MIN_SIDE / min(image.shape[:2]))
    return as_bgr(scaled(image, result, min(scale, 1))[0])


def jpeg(image: Image, quality: int = _QUALITY) -> bytes:
    """Encode an image.

    Raises:
        ValueError: a side exceeds what JPEG allows.
    """
    done, data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])
    if not done:
        raise ValueError("The image cannot be encoded.")
    return data.tobytes()


def caption(newest: Newest) -> dict[str, Any]:
    """Facts shown with an image, as fields for JSON."""
    number, _, result = newest
    line = result.to_json()
    names = ("source", "index", "status", "score", "threshold")
    return {
        "number": number,
        **{name: line[name] for name in (*names, "suspect_threshold", "gated") if name in line},
        "time": result.time,
        "reason": result.reason,
        "regions": len(result.regions),
    }


class Painter:
    """One thread that draws, with lower priority than the run if the system supports that.

    Args:
        name: of the thread.
    """

    def __init__(self, name: str = "page-draw") -> None:
        self._pool = ThreadPoolExecutor(1, name, initializer=_lower_priority)

    async def __call__(self, work: Callable[..., T], *arguments: Any) -> T:
        """Run a function in that thread."""
        return await asyncio.get_running_loop().run_in_executor(self._pool, work, *arguments)

    def close(self) -> None:
        """End the thread after the image that it is drawing."""
        self._pool.shutdown(wait=True, cancel_futures=True)


def _lower_priority() -> None:
    # Linux accepts a thread's number here; another system may refuse, and the priority stays as it is.
    with contextlib.suppress(OSError, AttributeError):
        thread = threading.get_native_id()
        os.setpriority(os.PRIO_PROCESS, thread, min(os.getpriority(os.PRIO_PROCESS, thread) + 5, 19))


@dataclass(frozen=True)
class Drawn:
    """An image of a frame, ready to be sent."""

    caption: dict[str, Any]
    data: bytes


class HasNewest(Protocol):
    """Has the newest frame of something; ``History`` is the one of a run."""

    @property
    def newest(self) -> Newest | None:
        """The newest frame and its result; None before the first."""
        ...


class CurrentImage:
    """The newest frame as an image, shared by all clients.

    Args:
        history: has the newest frame.
        painter: draws.
        clock: monotonic, in seconds.
    """

    def __init__(
        self, history: HasNewest, painter: Painter, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._history, self._painter, self._clock = history, painter, clock
        self._drawn: dict[tuple[bool, bool], tuple[float, Drawn]] = {}
        self._drawing = asyncio.Lock()

    async def get(self, overlay: bool, closeups: bool = False) -> Drawn | None:
        """Image of the newest frame, or one drawn up to a quarter of a second ago; None before the first.

        Args:
            overlay: with the map over it, or the frame alone.
            closeups: its regions at full resolution instead, where there are any.
        """
        view = (overlay, closeups)
        async with self._drawing:
            newest, cached = self._history.newest, self._drawn.get(view)
            if newest is None:
                return None
            if cached is not None:
                drawn_at, drawn = cached
                fresh = self._clock() - drawn_at < 1 / IMAGES_PER_SECOND
                if fresh or drawn.caption["number"] == newest.number:
                    return drawn
            now = self._clock()
            data = await self._painter(_draw_current, newest, *view)
            self._drawn[view] = (now, Drawn(caption(newest), data))
            return self._drawn[view][1]


def _draw_current(newest: Newest, overlay: bool, closeups: bool) -> bytes:
    return jpeg(draw(newest.frame, newest.result, overlay=overlay, closeups=closeups))
