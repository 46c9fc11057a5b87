"""Whether the image changed and came to rest: another part is there, and nothing moves any more."""

from __future__ import annotations

from collections import deque

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.collect.sketch import Gray

#: Side in which frames are compared, in pixels: where a frame's noise is averaged away.
_SIDE = 64
#: Frames in a row without motion after which the image is at rest.
_REST = 3
#: What counts as a change, as a multiple of the noise between two frames at rest. At least two gray
#: levels, since the noise of a drawn or a compressed image is nearly none; at most eight, since a belt
#: that never rests shows no noise.
_MULTIPLE, _LEAST, _MOST = 6.0, 2.0, 8.0
#: Pairs of frames over which the noise is learned: the quietest of them.
_LEARNED = 150


class Stillness:
    """Looks at every frame of a source, in order."""

    def __init__(self) -> None:
        self._before: Gray | None = None
        self._taken: Gray | None = None
        self._gaps: deque[float] = deque(maxlen=_LEARNED)
        self._resting = 0
        self._moved = True

    def ready(self, image: NDArray[np.uint8]) -> bool:
        """Whether to take this frame: it is at rest, and differs from the one taken before.

        Args:
            image: uint8 H x W x 3 BGR.
        """
        small = _small(image)
        before, self._before = self._before, small
        if before is None or before.shape != small.shape:
            self._resting, self._moved = 1, True
            return False
        gap = _gap(before, small)
        limit = min(max(_MULTIPLE * self._noise(), _LEAST), _MOST)
        self._gaps.append(gap)
        if gap > limit:
            self._resting, self._moved = 1, True
            return False
        self._resting += 1
        if self._resting < _REST or not self._moved:
            return False
        self._moved = False
        if self._taken is not None and self._taken.shape == small.shape and _gap(self._taken, small) <= limit:
            return False  # something passed, and the same image is back
        self._taken = small
        return True

    def _noise(self) -> float:
        return float(np.quantile(self._gaps, 0.1)) if self._gaps else 0.0


def _small(image: NDArray[np.uint8]) -> Gray:
    gray = cv2.cvtColor(cv2.resize(image, (_SIDE, _SIDE), interpolation=cv2.INTER_AREA), cv2.COLOR_BGR2GRAY)
    return np.asarray(gray, np.float32)


def _gap(one: Gray, other: Gray) -> float:
    """How far two frames differ where they differ most: a hundredth of the image, in gray levels."""
    gap = np.abs(one - other)
    gap = np.asarray(cv2.blur(gap, (3, 3)), np.float32)
    return float(np.quantile(gap, 0.99))
