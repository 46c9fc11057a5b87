"""Damage without a foreign texture (ours, not the paper's): regions bent, shaded, or without their detail.

Dents, worn threads and bent tips look like the part's surface in a wrong shape. A blended texture does not
teach that.
"""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import is_gray

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
#: Damages an image (first) within a region (second).
Maker = Callable[[Image, Mask, np.random.Generator], tuple[Image, Mask]]
#: A pixel counts as damaged where the smoothed difference exceeds this, of 255.
_VISIBLE = 6.0
#: Largest displacement of a warp, width of a region's soft edge, width of the detail that a smear
#: removes; in 256ths of the side.
_REACH, _EDGE, _SMEAR = (2.5, 14.0), (1.0, 4.0), (4.0, 14.0)


def warp(image: Image, region: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Displace a region's pixels along a smooth random field, as a dent or a bent edge does.

    Args:
        image: uint8 S x S x 3.
        region: bool S x S, where to work; the field fades out at its edge.
        rng: source of randomness.

    Returns:
        the damaged image, uint8 S x S x 3, and where it visibly differs, bool S x S, maybe nowhere.
    """
    size = image.shape[0]
    unit = size / 256
    cells = int(np.exp(rng.uniform(np.log(4), np.log(32))))
    coarse = rng.normal(0.0, 1.0, (cells, cells, 2)).astype(np.float32)
    field = np.asarray(cv2.resize(coarse, (size, size), interpolation=cv2.INTER_CUBIC), np.float32)
    weight = _soft(region, float(rng.uniform(*_EDGE)) * unit)
    if not weight.any():
        return image, np.zeros(region.shape, np.bool_)
    # The largest shift is set where the region is, so that small regions are bent as far as large ones.
    field *= weight[..., None]
    longest = float(np.hypot(field[..., 0], field[..., 1]).max())
    field *= float(rng.uniform(*_REACH)) * unit / max(longest, 1e-6)
    damaged = displaced(image, field[..., 0], field[..., 1])
    return damaged, _visible(image, damaged)


def displaced(image: Image, shift_x: NDArray[np.floating], shift_y: NDArray[np.floating]) -> Image:
    """An image with displaced pixels.

    Args:
        image: uint8 S x S x 3.
        shift_x: S x S, how far to the right of each pixel its value comes from, in pixels.
        shift_y: likewise, how far below.

    Returns:
        uint8 S x S x 3; beyond its border the image is mirrored.
    """
    size = image.shape[0]
    y, x = np.mgrid[0:size, 0:size].astype(np.float32)
    map_x, map_y = (x + shift_x).astype(np.float32), (y + shift_y).astype(np.float32)
    moved = cv2.remap(image, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT)
    return np.asarray(moved, np.uint8)


def shade(image: Image, region: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Make a region brighter or darker with a soft edge, as a stain or a rubbed place does.

    Args:
        image: uint8 S x S x 3; a gray image stays gray.
        region: bool S x S, where to work.
        rng: source of randomness.

    Returns:
        see ``warp``.
    """
    gray = is_gray(image)
    weight = _soft(region, float(rng.uniform(*_EDGE)) * image.shape[0] / 256)[..., None]
    gain = float(rng.choice([rng.uniform(0.4, 0.85), rng.uniform(1.15, 1.8)]))
    tint = rng.uniform(-40.0, 40.0, 1 if gray else 3).astype(np.float32)
    blurred = cv2.GaussianBlur(image, (0, 0), float(rng.uniform(0.5, 3.0)))
    base = (blurred if rng.random() < 0.5 else image).astype(np.float32)
    mixed = image + weight * (gain * base + tint - image)
    damaged = np.clip(np.rint(mixed), 0, 255).astype(np.uint8)
    return damaged, _visible(image, damaged)


def smear(image: Image, region: Mask, rng: np.random.Generator) -> tuple[Image, Mask]:
    """Remove a region's fine detail, as on a worn edge or with a missing tooth.

    Gray-level dilation and erosion remove thin dark or bright structures, a median removes both.

    Args:
        image: uint8 S x S x 3.
        region: bool S x S, where to work.
        rng: source of randomness.

    Returns:
        see ``warp``.
    """
    unit = image.shape[0] / 256
    width = max(1, round(float(rng.uniform(*_SMEAR)) * unit / 2))
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * width + 1, 2 * width + 1))
    how = int(rng.integers(3))
    if how == 0:
        without = cv2.dilate(image, kernel)
    elif how == 1:
        without = cv2.erode(image, kernel)
    else:
        without = cv2.medianBlur(image, 4 * width + 1)
    weight = _soft(region, float(rng.uniform(*_EDGE)) * unit)[..., None]
    mixed = image + weight * (without.astype(np.float32) - image)
    damaged = np.asarray(np.rint(mixed), np.uint8)
    return damaged, _visible(image, damaged)


def _soft(region: Mask, sigma: float) -> NDArray[np.float32]:
    return np.asarray(cv2.GaussianBlur(region.astype(np.float32), (0, 0), max(sigma, 0.3)), np.float32)


def _visible(before: Image, after: Image) -> Mask:
    difference = np.abs(after.astype(np.float32) - before.astype(np.float32)).max(2)
    changed = (cv2.GaussianBlur(difference, (0, 0), 1.0) > _VISIBLE).astype(np.uint8)
    closing = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    return cv2.morphologyEx(changed, cv2.MORPH_CLOSE, closing) > 0
