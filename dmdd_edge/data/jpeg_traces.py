"""What JPEG leaves in decoded pixels: frequencies that vanish on its grid, steps that tell the quality."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Gray = NDArray[np.uint8]
Coefficients = NDArray[np.float32]

#: Blocks that are looked at, evenly spread.
_BLOCKS = 400
#: A frequency below this has vanished; rounding the decoded pixels moves a frequency by about 0.4.
_VANISHED = 0.7
#: Mean distance to a step, as a share of what chance gives, below which a quality is believed.
_BELIEVED = 0.6
#: Frequencies that must not have vanished, to tell a quality.
_LEAST = 40

#: The cosines of the 8 x 8 transform, frequency by place.
_COSINES = np.array(
    [
        [np.sqrt((1 if u == 0 else 2) / 8) * np.cos((2 * x + 1) * u * np.pi / 16) for x in range(8)]
        for u in range(8)
    ],
    np.float32,
)
_HIGH = np.add.outer(np.arange(8), np.arange(8)) >= 7

#: Steps of the luminance at quality 50 (ITU-T T.81, table K.1), which every common encoder scales.
_STEPS = np.array(
    [
        [16, 11, 10, 16, 24, 40, 51, 61],
        [12, 12, 14, 19, 26, 58, 60, 55],
        [14, 13, 16, 24, 40, 57, 69, 56],
        [14, 17, 22, 29, 51, 87, 80, 62],
        [18, 22, 37, 56, 68, 109, 103, 77],
        [24, 35, 55, 64, 81, 104, 113, 92],
        [49, 64, 78, 87, 103, 121, 120, 101],
        [72, 92, 95, 98, 112, 100, 103, 99],
    ],
    np.float64,
)


def grid_contrast(gray: Gray) -> float:
    """Share of high frequencies that vanish in blocks on JPEG's grid, less that in blocks beside it; -1..1.

    Args:
        gray: uint8 H x W, cut out on the grid.
    """
    return _vanished(_transform(gray, 0)) - _vanished(_transform(gray, 4))


def jpeg_quality(gray: Gray) -> int | None:
    """The JPEG quality that an image was compressed with, 10..98; None when it was not, or is unknown.

    Args:
        gray: uint8 H x W, cut out on the grid.
    """
    found = _transform(gray, 0)
    best, quality = _BELIEVED, None
    # Steps of a low quality are whole multiples of those of a higher one, which matches too where the low one
    # is not tried: a file of quality 25 would be taken for one of 50.
    for candidate in range(10, 99):
        steps = step_table(candidate)
        used = steps >= 3  # smaller steps are within the rounding of the pixels
        used[0, 0] = False
        steps = steps[used]
        values = found[:, used]
        whole = np.rint(values / steps)
        counted = whole != 0
        if counted.sum() < _LEAST:
            continue
        # By chance a value is a quarter of a step away from the nearest multiple.
        distance = float((np.abs(values - whole * steps) / (0.25 * steps))[counted].mean())
        if distance < best:
            best, quality = distance, candidate
    return quality


def step_table(quality: int) -> NDArray[np.float32]:
    """The steps of the luminance's 8 x 8 frequencies at a quality of 1..100, as libjpeg scales them."""
    scale = 5000 // quality if quality < 50 else 200 - 2 * quality
    return np.clip(np.floor((_STEPS * scale + 50) / 100), 1, 255).astype(np.float32)


def _transform(gray: Gray, offset: int) -> Coefficients:
    """Frequencies of blocks: float32 N x 8 x 8; none where the image is smaller than a block."""
    rows, columns = (max(side - offset, 0) // 8 for side in gray.shape)
    blocks = gray[offset : offset + 8 * rows, offset : offset + 8 * columns]
    blocks = blocks.reshape(rows, 8, columns, 8).swapaxes(1, 2).reshape(-1, 8, 8)
    chosen = blocks[:: max(1, len(blocks) // _BLOCKS)].astype(np.float32)
    return np.asarray(_COSINES @ chosen @ _COSINES.T, np.float32)


def _vanished(found: Coefficients) -> float:
    return float((np.abs(found[:, _HIGH]) < _VANISHED).mean()) if len(found) else 0.0
