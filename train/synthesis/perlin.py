"""Binary masks from Perlin noise, as in DRAEM: random grid, random rotation, threshold."""

from __future__ import annotations

import math

import cv2
import numpy as np
from numpy.typing import NDArray


def perlin_noise(size: int, cells: tuple[int, int], rng: np.random.Generator) -> NDArray[np.float32]:
    """Gradient noise over a square.

    Args:
        size: side in pixels; a multiple of both cell counts.
        cells: grid cells down and across.
        rng: source of the gradients' angles.

    Returns:
        float32 size x size, about -1..1 (scaled by sqrt 2 as usual).
    """
    rows, columns = cells
    angles = rng.uniform(0.0, 2.0 * math.pi, (rows + 1, columns + 1)).astype(np.float32)
    gradient_y, gradient_x = np.sin(angles), np.cos(angles)
    v = np.arange(size // rows, dtype=np.float32) * (rows / size)
    u = np.arange(size // columns, dtype=np.float32) * (columns / size)
    fade_v, fade_u = _fade(v)[None, :, None, None], _fade(u)[None, None, None, :]
    v, u = v[None, :, None, None], u[None, None, None, :]

    def corner(down: int, across: int) -> NDArray[np.float32]:
        gy = gradient_y[down : rows + down, None, across : columns + across, None]
        gx = gradient_x[down : rows + down, None, across : columns + across, None]
        return gy * (v - down) + gx * (u - across)

    top = corner(0, 0) * (1 - fade_u) + corner(0, 1) * fade_u
    bottom = corner(1, 0) * (1 - fade_u) + corner(1, 1) * fade_u
    noise = top * (1 - fade_v) + bottom * fade_v
    return (math.sqrt(2.0) * noise).reshape(size, size).astype(np.float32)


def _fade(t: NDArray[np.float32]) -> NDArray[np.float32]:
    return np.asarray(t * t * t * (t * (t * 6.0 - 15.0) + 10.0), np.float32)


def perlin_mask(size: int, octave: int, threshold: float, rng: np.random.Generator) -> NDArray[np.bool_]:
    """A random mask: Perlin noise of 2^0 .. 2^octave cells an axis, rotated by -90..90 degrees, thresholded.

    Args:
        size: side in pixels.
        octave: largest exponent of the grid's cells; bounded so that a cell has at least two pixels.
        threshold: noise above it is in the mask.
        rng: source of randomness.

    Returns:
        bool size x size; may be empty.
    """
    # The grid must divide the square: work on the next power of two and cut.
    side = 1 << max(5, (size - 1).bit_length())
    top = min(octave, side.bit_length() - 2)
    cells = (1 << int(rng.integers(0, top + 1)), 1 << int(rng.integers(0, top + 1)))
    noise = perlin_noise(side, cells, rng)
    angle = float(rng.uniform(-90.0, 90.0))
    turn = cv2.getRotationMatrix2D(((side - 1) / 2, (side - 1) / 2), angle, 1.0)
    rotated = cv2.warpAffine(
        noise, turn, (side, side), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_CONSTANT
    )
    top_left = (side - size) // 2
    return rotated[top_left : top_left + size, top_left : top_left + size] > threshold
