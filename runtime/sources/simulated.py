"""A simulated camera, to try a line before it is built: ``images:FOLDER?fps=5`` and ``drawn:?bad=0.2``."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Protocol
from urllib.parse import parse_qsl

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.runtime.sources.live_device import LostError, Stamp

#: Frames per second where none are given.
_FPS = 5.0
_FORM = (
    "Write images:FOLDER or images:VIDEO, or drawn: for drawn plates; ?fps=5 sets the frames per second, and "
    "of drawn:, ?bad=0.2&size=256&seed=0 the share of defective plates, the side in pixels and the series."
)


class Album(Protocol):
    """A series of images that starts again at its end."""

    name: str

    def images(self, stop: threading.Event) -> Iterator[NDArray[np.uint8] | DmddError]:
        """The images once, in order: uint8 H x W x 3 BGR, or why one cannot be read.

        Args:
            stop: true ends a long preparation; the source is then empty.

        Raises:
            DmddError: it contains no images.
        """
        ...


class SimulatedCamera:
    """Shows the next image of a series at a rate, or whenever it is fired; in a loop.

    Args:
        album: the images.
        fps: frames per second; None leaves the choice to ``armed``.

    Attributes:
        armed: whether it shows an image per call of ``fire``, instead of at a rate.
        paced: whether a rate was given.
    """

    def __init__(self, album: Album, fps: float | None = None) -> None:
        self.name, self.label = album.name, "simulated"
        self.armed, self.paced = False, fps is not None
        self._album, self._period = album, 1 / (fps or _FPS)
        self._images: Iterator[NDArray[np.uint8] | DmddError] | None = None
        self._next: NDArray[np.uint8] | DmddError | None = None
        self._shots = threading.Semaphore(0)
        self._due: float | None = None
        self._shown = 0

    def open(self, stop: threading.Event) -> None:
        """Read the first image."""
        self._images = self._album.images(stop)
        self._next = next(self._images, None)
        if self._next is None and stop.is_set():
            raise SourceError(f"{self.name} was stopped while it was being opened.")
        if self._next is None:
            raise SourceError(f"{self.name} contains no images.", _FORM)
        self._shots, self._due = threading.Semaphore(0), None

    def fire(self) -> None:
        """Show the next image; from any thread."""
        self._shots.release()

    def grab(self, stop: threading.Event) -> None:
        """Wait for ``fire``, or until the next image is due."""
        if self.armed:
            while not self._shots.acquire(timeout=0.1):
                if stop.is_set():
                    return
        else:
            now = time.monotonic()
            self._due = now if self._due is None else max(self._due + self._period, now)
            if stop.wait(self._due - now):
                return
        if self._next is None:
            self._advance(stop)
        self._shown += 1

    def stamp(self) -> Stamp:
        """The number of the image since the start."""
        return Stamp(frame_id=self._shown)

    def retrieve(self) -> NDArray[np.uint8]:
        """The image that is shown."""
        image, self._next = self._next, None
        if isinstance(image, DmddError):
            raise image
        if image is None:
            raise SourceError(f"{self.name} shows no image.")
        return image

    def close(self) -> None:
        """Close the series."""
        self._images = self._next = None

    def detail(self) -> str:
        """How images come."""
        rate = f"{1 / self._period:g} frames/s"
        return f"simulated, {'an image per trigger' if self.armed else rate}"

    def _advance(self, stop: threading.Event) -> None:
        if self._images is not None:
            self._next = next(self._images, None)
        if self._next is None:
            self._images = self._album.images(stop)
            self._next = next(self._images, None)
        if self._next is None:
            raise LostError(f"{self.name} has no more images")


def simulated_camera(source: str) -> SimulatedCamera:
    """The simulated camera that an address names.

    Args:
        source: ``images:PATH`` or ``drawn:``, each with parameters after a question mark.

    Raises:
        SourceError: the address is malformed.
    """
    kind, _, rest = source.partition(":")
    path, _, query = rest.partition("?")
    given = dict(parse_qsl(query, keep_blank_values=True))
    fps = _number(source, given, "fps", 0.0)
    if kind == "images":
        from dmdd_edge.runtime.sources.recorded import RecordedImages

        if not path:
            raise SourceError(f"{source} names no folder.", _FORM)
        album: Album = RecordedImages(path)
    else:
        from dmdd_edge.runtime.sources.drawn import DrawnPlates

        if path not in ("", "plate"):
            raise SourceError(f"{source}: only plates are drawn.", _FORM)
        bad = _number(source, given, "bad", 0.2)
        size, seed = _number(source, given, "size", 256), _number(source, given, "seed", 0)
        if bad > 1 or not 64 <= size <= 2048:
            raise SourceError(f"{source}: bad must be at most 1, and size 64 to 2048.", _FORM)
        album = DrawnPlates(source, bad, int(size), int(seed))
    if given:
        raise SourceError(f"{source}: unknown parameter {next(iter(given))!r}.", _FORM)
    return SimulatedCamera(album, fps or None)


def _number(source: str, given: dict[str, str], name: str, default: float) -> float:
    text = given.pop(name, None)
    if text is None:
        return default
    try:
        number = float(text)
    except ValueError:
        number = -1.0
    if not 0 <= number < float("inf") or (name == "fps" and number == 0):
        bound = "above 0" if name == "fps" else "of 0 or more"
        raise SourceError(f"{source}: {name} must be a number {bound}, got {text}.", _FORM)
    return number
