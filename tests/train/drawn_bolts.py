"""Drawn long parts in any direction: a head, a shank and a notch, on an even background."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.uint8]


def bolt(
    degrees: float,
    *,
    size: int = 64,
    at: tuple[float, float] = (0.0, 0.0),
    length: float = 0.6,
    ends_alike: bool = False,
    seed: int = 0,
) -> Image:
    """A light bolt on a dark background.

    Args:
        degrees: direction of its thin end, clockwise from the right.
        size: side of the image.
        at: its middle, in sides from the image's middle.
        length: of it, in sides.
        ends_alike: draw it without a head.
        seed: of the noise.

    Returns:
        uint8 S x S x 3.
    """
    fine = 8 * size
    image = np.full((fine, fine, 3), (40, 50, 60), np.uint8)
    angle = np.deg2rad(degrees)
    along, across = np.array([np.cos(angle), np.sin(angle)]), np.array([-np.sin(angle), np.cos(angle)])
    middle = fine * (0.5 + np.array(at))

    def box(first: float, last: float, half: float, color: Sequence[int]) -> None:
        corners = [
            middle + fine * length * (place * along + side * half * across)
            for place, side in ((first, -1), (last, -1), (last, 1), (first, 1))
        ]
        cv2.fillPoly(image, [np.round(corners).astype(np.int32)], color)

    box(-0.5, 0.5, 0.08, (170, 180, 190))
    box(0.1, 0.2, 0.08, (130, 140, 150))
    if not ends_alike:
        box(-0.5, -0.3, 0.18, (200, 200, 200))
    small = cv2.resize(image, (size, size), interpolation=cv2.INTER_AREA)
    noise = np.random.default_rng(seed).normal(0, 2, small.shape)
    return np.clip(np.round(small + noise), 0, 255).astype(np.uint8)


def bolts(count: int, seed: int = 0, size: int = 64) -> Image:
    """Bolts in any direction, a little off the middle: uint8 N x S x S x 3."""
    rng = np.random.default_rng(seed)
    return np.stack(
        [
            bolt(rng.uniform(0, 360), size=size, at=tuple(rng.uniform(-0.08, 0.08, 2)), seed=seed + index)
            for index in range(count)
        ]
    )


def write_bolts(root: Path, *, good: int = 12, test: int = 3, seed: int = 0) -> Path:
    """A data set in MVTec layout, category "bolt": good ones, and some with a dark spot and its mask."""
    for part, images in (("train/good", bolts(good, seed + 1)), ("test/good", bolts(test, seed + 100))):
        _write(root / "bolt" / part, images)
    damaged, masks = bolts(test, seed + 200), []
    for image in damaged:
        mask = np.zeros(image.shape[:2], np.uint8)
        cv2.circle(mask, (32, 32), 3, 255, -1)
        image[mask > 0] = (0, 0, 90)
        masks.append(mask)
    _write(root / "bolt" / "test" / "spot", damaged)
    _write(root / "bolt" / "ground_truth" / "spot", np.stack(masks), "_mask")
    return root


def _write(folder: Path, images: Image, suffix: str = "") -> None:
    folder.mkdir(parents=True)
    for index, image in enumerate(images):
        cv2.imwrite(str(folder / f"{index:03}{suffix}.png"), image)
