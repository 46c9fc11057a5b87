"""Drawn plates for a simulated camera: those of ``dmdd-edge sample``, good ones and defective ones."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from functools import lru_cache

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.sample.plate import Plate
from dmdd_edge.sample.plate_defects import DEFECTS
from dmdd_edge.sample.write import draw

#: Number of plates in a series, after which it starts again.
SERIES = 20
#: The largest side that is drawn, in pixels; larger images are enlarged, since drawing one takes seconds.
_LARGEST = 512


class DrawnPlates:
    """A series of plates; the defective ones are spread evenly, each with another kind of defect.

    Args:
        name: for a person.
        bad: share of defective plates, 0..1.
        size: side of the images in pixels.
        seed: of the series.
    """

    def __init__(self, name: str, bad: float, size: int, seed: int) -> None:
        self.name = name
        self._bad, self._seed, self._size, self._plate = bad, seed, size, Plate(min(size, _LARGEST))
        self._draw = lru_cache(maxsize=SERIES)(self._drawn)

    def images(self, stop: threading.Event) -> Iterator[NDArray[np.uint8] | DmddError]:
        """The images once, in order; see ``Album``."""
        # All of them first: drawing one takes longer than a trigger waits for a frame.
        drawn = []
        for index in range(SERIES):
            if stop.is_set():
                return
            drawn.append(self._draw(index))
        for image in drawn:
            yield image.copy()

    def defect(self, index: int) -> str | None:
        """The defect of a plate of the series, a key of ``DEFECTS``; None for a good one."""
        before, now = int(index * self._bad + 1e-9), int((index + 1) * self._bad + 1e-9)
        return list(DEFECTS)[before % len(DEFECTS)] if now > before else None

    def _drawn(self, index: int) -> NDArray[np.uint8]:
        image, _ = draw(self._plate, self._seed, "test", index, self.defect(index))
        if self._size > _LARGEST:
            side = (self._size, self._size)
            image = np.asarray(cv2.resize(image, side, interpolation=cv2.INTER_CUBIC), np.uint8)
        return image
