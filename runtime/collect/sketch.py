"""A small gray copy of an image, on which images of a set are compared at a cost that does not grow."""

from __future__ import annotations

from dataclasses import dataclass, field

import cv2
import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.float32]

#: The longer side of a sketch, in pixels, where the image is at least that large.
SIDE = 256
#: Side of the blocks in which sketches are compared, in pixels.
BLOCK = 8
#: Levels outside which a block is taken for clipped: it shows less noise than the sensor has.
_DARKEST, _BRIGHTEST = 8.0, 247.0
#: The share of the blocks whose texture is weakest: what varies there is mostly noise.
_FLATTEST = 0.15
#: The least noise of one shot, in gray levels: that of rounding, which averaging makes smaller.
_LEAST = 0.05
#: Removes planes and straight edges, and leaves white noise at the strength that it has (Immerkaer 1996).
_DETAIL = np.array([[1, -2, 1], [-2, 4, -2], [1, -2, 1]], np.float32) / 6


@dataclass(frozen=True)
class Sketch:
    """An image in small.

    Attributes:
        gray: float32 H x W, 0..255, the longer side about 256 pixels.
        scale: pixels of the image for one of the sketch.
        noise: of one shot in the sketch, in gray levels: what varies in its flattest blocks.
        flat_level: mean gray level of those blocks, 0..255.
    """

    gray: Gray = field(repr=False)
    scale: float
    noise: float
    flat_level: float


def sketch_of(image: NDArray[np.uint8]) -> Sketch:
    """The sketch of an image.

    Args:
        image: uint8 H x W x 3 BGR.
    """
    height, width = image.shape[:2]
    scale = max(max(height, width) / SIDE, 1.0)
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    if scale > 1:
        size = (max(round(width / scale), BLOCK), max(round(height / scale), BLOCK))
        small = np.asarray(
            cv2.resize(gray.astype(np.float32), size, interpolation=cv2.INTER_AREA), np.float32
        )
    else:
        small = gray.astype(np.float32)
    noise, level = _noise(small)
    return Sketch(small, scale, noise, level)


def in_blocks(values: Gray) -> Gray:
    """Values by block: float32 H x W -> float32 H/8 x W/8 x 64; what is over at the edges is left out."""
    rows, columns = values.shape[0] // BLOCK, values.shape[1] // BLOCK
    cut = values[: rows * BLOCK, : columns * BLOCK].reshape(rows, BLOCK, columns, BLOCK)
    return cut.transpose(0, 2, 1, 3).reshape(rows, columns, BLOCK * BLOCK)


def _noise(gray: Gray) -> tuple[float, float]:
    """Noise of the flattest blocks, and their mean level, both in gray levels."""
    detail = in_blocks(np.asarray(cv2.filter2D(gray, cv2.CV_32F, _DETAIL), np.float32))
    strength = np.sqrt((detail**2).mean(axis=2)).ravel()
    levels = in_blocks(gray).mean(axis=2).ravel()
    whole = (levels > _DARKEST) & (levels < _BRIGHTEST)
    if whole.sum() >= 16:
        strength, levels = strength[whole], levels[whole]
    if not strength.size:
        return _LEAST, 0.0
    noise = float(np.quantile(strength, _FLATTEST))
    return max(noise, _LEAST), float(levels[strength <= noise].mean())
