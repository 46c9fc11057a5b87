"""A validation set from normal images alone, for decisions without test images.

It holds held-out normal images, and synthetic damage on them from other generators than training's and from
another seed. Masks mark what visibly changed; outside them the images are unchanged.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets import GOOD, TestImage
from dmdd_edge.evaluation.test_set import TestSet
from dmdd_edge.train.validation.damage import KINDS, Image, Maker, Mask

Difference = NDArray[np.float32]
#: Damaged images of each kind.
COUNT = 48
#: A pixel is changed where the smoothed difference exceeds this, of 255.
_SEEN = 6
#: Damage has at least this mean difference over its mask, and this area in units of a 256th of the side.
_LEAST_DIFFERENCE, _LEAST_AREA = 12.0, 16.0
_TRIES = 40


def validation_set(
    normals: Image, parts: Sequence[Mask | None], *, seed: int = 0, count: int = COUNT
) -> TestSet:
    """The normal images, then ``count`` damaged ones of each kind.

    Args:
        normals: uint8 n x S x S x 3 BGR, not trained on.
        parts: where the part is in each, bool S x S; None for everywhere.
        seed: the same seed gives the same images, independent of the training.
        count: damaged images of each kind; they start from the normal images in turn.

    Returns:
        a test set whose defect types are the kinds. A kind that is not visible on these images, such as a
        warp of a plain surface, has fewer images, or zero.
    """
    images = list(normals)
    masks = [np.zeros(normals.shape[1:3], np.bool_)] * len(normals)
    kinds = [GOOD] * len(normals)
    for kind, make in KINDS.items():
        for index in range(count):
            rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), index])
            which = index % len(normals)
            other = normals[int(rng.integers(len(normals)))]
            damaged = damage(make, normals[which], parts[which], other, rng)
            if damaged is not None:
                images.append(damaged[0])
                masks.append(damaged[1])
                kinds.append(kind)
    items = [TestImage(Path(kind) / f"{number:04d}", kind, None) for number, kind in enumerate(kinds)]
    return TestSet(items, np.stack(images), np.stack(masks), np.ones(len(items), np.bool_))


def damage(
    make: Maker, image: Image, part: Mask | None, other: Image, rng: np.random.Generator
) -> tuple[Image, Mask] | None:
    """Damage an image visibly.

    Args:
        make: the kind.
        image: uint8 S x S x 3 BGR.
        part: bool S x S; None for everywhere.
        other: another normal image.
        rng: source of randomness.

    Returns:
        the damaged image, and the mask of what changed; None when no try had a visible result.
    """
    where = np.ones(image.shape[:2], np.bool_) if part is None else part
    least = _LEAST_AREA * (image.shape[0] / 256) ** 2
    for _ in range(_TRIES):
        damaged, region = make(image, where, other, rng)
        if not region.any():
            continue  # the image has no place for this kind
        mask, difference = _changed(image, damaged, region)
        if mask.sum() >= least and float(difference[mask].mean()) >= _LEAST_DIFFERENCE:
            near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
            return np.where(near[..., None], damaged, image), mask
    return None


def _changed(image: Image, damaged: Image, region: Mask) -> tuple[Mask, Difference]:
    """What changed visibly, without specks and small holes, and by how much."""
    before, after = (cv2.GaussianBlur(item.astype(np.float32), (0, 0), 0.8) for item in (image, damaged))
    difference = np.abs(after - before).max(2)
    close = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (5, 5))
    seen = (difference > _SEEN) & (cv2.dilate(region.astype(np.uint8), close) > 0)
    whole = cv2.morphologyEx(seen.astype(np.uint8), cv2.MORPH_CLOSE, close)
    count, pieces, facts, _ = cv2.connectedComponentsWithStats(whole, connectivity=8)
    small = [k for k in range(1, count) if facts[k, cv2.CC_STAT_AREA] < 6]
    whole[np.isin(pieces, small)] = 0
    return whole > 0, difference
