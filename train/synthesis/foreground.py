"""Finds the part in the image, so that synthetic anomalies are placed on it (paper, FAS).

``auto`` decides from the images alone: a part on an even background that does not reach the border is found
by inverse Otsu; failing that by GrabCut; anything else is a texture and counts as a whole.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import cv2
import numpy as np
from cv2.typing import MatLike
from numpy.typing import NDArray

from dmdd_edge.data.spread import spread
from dmdd_edge.outside_files import open_regular
from dmdd_edge.storage import write_atomically
from dmdd_edge.train.archives import DAMAGED
from dmdd_edge.train.config import Foreground

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
Method = Literal["grabcut", "otsu", "none"]

#: A foreground smaller than this share of the image is a failure: the full image counts instead.
MIN_SHARE = 0.005
_GRABCUT_ITERATIONS = 11
#: GrabCut's time grows faster than the area; at this side it takes tens of milliseconds for the same mask.
_GRABCUT_SIDE = 128
#: Images that ``auto`` examines, and the share that must agree.
_PROBES, _AGREE = 12, 0.75


def otsu_foreground(image: Image) -> Mask:
    """Pixels unlike the border's color, by Otsu's threshold on the distance to it (inverse Otsu).

    Args:
        image: uint8 S x S x 3 BGR.

    Returns:
        bool S x S, holes filled, specks removed.
    """
    distance = _background_distance(image)
    _, mask = cv2.threshold(distance, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    return _clean(mask)


def _background_distance(image: Image) -> Image:
    lab = cv2.cvtColor(cv2.GaussianBlur(image, (3, 3), 0), cv2.COLOR_BGR2LAB).astype(np.float32)
    ring = np.concatenate(
        [
            lab[:4].reshape(-1, 3),
            lab[-4:].reshape(-1, 3),
            lab[:, :4].reshape(-1, 3),
            lab[:, -4:].reshape(-1, 3),
        ]
    )
    distance = np.abs(lab - np.median(ring, axis=0)).max(2)
    return np.clip(distance, 0, 255).astype(np.uint8)


def grabcut_foreground(image: Image, seed: int = 0) -> Mask:
    """Foreground by GrabCut from a rectangle one pixel inside the border; seeded, so repeatable.

    Args:
        image: uint8 S x S x 3 BGR.
        seed: of OpenCV's generator, which GrabCut draws from.

    Returns:
        bool S x S.
    """
    side = image.shape[0]
    small_side = min(side, _GRABCUT_SIDE)
    small = (
        cv2.resize(image, (small_side, small_side), interpolation=cv2.INTER_AREA)
        if small_side < side
        else image
    )
    labels = np.zeros(small.shape[:2], np.uint8)
    background, foreground = np.zeros((1, 65)), np.zeros((1, 65))
    rectangle = (1, 1, small_side - 2, small_side - 2)
    cv2.setRNGSeed(seed)
    try:
        cv2.grabCut(
            small, labels, rectangle, background, foreground, _GRABCUT_ITERATIONS, cv2.GC_INIT_WITH_RECT
        )
    except cv2.error:  # an image of one color has nothing to cut
        return np.zeros(image.shape[:2], np.bool_)
    mask = np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD)).astype(np.uint8) * 255
    return _clean(cv2.resize(mask, (side, side), interpolation=cv2.INTER_LINEAR))


def _clean(mask: MatLike) -> Mask:
    """Remove specks, fill holes, and grow by a pixel or two so that the mask includes the part's edge."""
    binary: MatLike = (mask > 127).astype(np.uint8)
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (3, 3))
    binary = cv2.morphologyEx(binary, cv2.MORPH_OPEN, kernel)
    contours, _ = cv2.findContours(binary, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
    filled = np.zeros_like(binary)
    cv2.drawContours(filled, contours, -1, 1, cv2.FILLED)
    grow = max(3, binary.shape[0] // 64 | 1)
    return cv2.dilate(filled, cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (grow, grow))).astype(np.bool_)


def grown(mask: Mask, margin: int) -> Mask:
    """A foreground enlarged by a margin.

    Args:
        mask: bool S x S.
        margin: how far, in 256ths of the side.

    Returns:
        bool S x S.
    """
    reach = round(margin * mask.shape[0] / 256)
    if reach == 0:
        return mask
    kernel = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (2 * reach + 1, 2 * reach + 1))
    return cv2.dilate(mask.astype(np.uint8), kernel).astype(np.bool_)


def choose(images: Sequence[Image]) -> Method:
    """Choose the method for a category from a few of its images.

    Args:
        images: normal images, uint8 S x S x 3 BGR.

    Returns:
        ``otsu``, ``grabcut`` or ``none``.
    """
    if on_even_background(images):
        return "otsu"
    chosen = [images[index] for index in spread(len(images), _PROBES)]
    if _agree(_is_object(grabcut_foreground(image)) and _contrast(image) for image in chosen[:4]):
        return "grabcut"
    return "none"


def on_even_background(images: Sequence[Image]) -> bool:
    """Whether a few images show one part on an even background, which inverse Otsu finds.

    Args:
        images: normal images, uint8 S x S x 3 BGR.
    """
    return _agree(_otsu_fits(images[index]) for index in spread(len(images), _PROBES))


def _agree(votes: Iterable[bool]) -> bool:
    cast = list(votes)
    return sum(cast) >= _AGREE * len(cast)


def _otsu_fits(image: Image) -> bool:
    """Whether the border is even and Otsu's two classes are well separated."""
    distance = _background_distance(image)
    level, _ = cv2.threshold(distance, 0, 255, cv2.THRESH_BINARY + cv2.THRESH_OTSU)
    values = distance.astype(np.float32)
    high = values > level
    share = float(high.mean())
    if not 0.0 < share < 1.0:
        return False
    low_mean, high_mean = float(values[~high].mean()), float(values[high].mean())
    separation = share * (1 - share) * (high_mean - low_mean) ** 2 / max(float(values.var()), 1e-6)
    return separation > 0.6 and high_mean - low_mean > 20 and _is_object(otsu_foreground(image))


def _is_object(mask: Mask) -> bool:
    """Whether a mask looks like one part: neither tiny nor everything, and mostly off the border."""
    share = float(mask.mean())
    border = np.concatenate([mask[0], mask[-1], mask[:, 0], mask[:, -1]])
    return 0.02 < share < 0.9 and float(border.mean()) < 0.15


def _contrast(image: Image) -> bool:
    """Whether the middle differs from the border; on a plain texture GrabCut's result is meaningless."""
    side = image.shape[0]
    distance = _background_distance(image)
    quarter = side // 4
    inner = float(distance[quarter:-quarter, quarter:-quarter].mean())
    ring = np.concatenate(
        [distance[:4].ravel(), distance[-4:].ravel(), distance[:, :4].ravel(), distance[:, -4:].ravel()]
    )
    return inner > 2.0 * float(ring.mean()) + 5.0


def masks(
    images: Sequence[Image], kind: Foreground, progress: Callable[[int], None] | None = None
) -> tuple[Method, list[Mask | None], int]:
    """Foreground masks of a category.

    Args:
        images: normal images, uint8 S x S x 3 BGR.
        kind: the method, or ``auto``.
        progress: called with the number of images done.

    Returns:
        the method used; a mask per image, None where the full image counts; how many fell back to the full
        image because their mask was empty or tiny.
    """
    method = choose(images) if kind == "auto" else kind
    if method == "none":
        return "none", [None] * len(images), 0
    per_image: list[Mask | None] = []
    failed = 0
    for index, image in enumerate(images):
        mask = otsu_foreground(image) if method == "otsu" else grabcut_foreground(image)
        if float(mask.mean()) < MIN_SHARE:
            failed += 1
            per_image.append(None)
        else:
            per_image.append(mask)
        if progress is not None:
            progress(index + 1)
    return method, per_image, failed


@dataclass
class ForegroundMasks:
    """Masks of a category.

    Attributes:
        method: the method used.
        masks: bool S x S per image, None where the full image counts.
        failed: how many fell back to the full image.
    """

    method: Method
    masks: list[Mask | None]
    failed: int


def cached_masks(
    file: Path, images: Sequence[Image], kind: Foreground, progress: Callable[[int], None] | None = None
) -> ForegroundMasks:
    """As ``masks``, cached in a file of the run and reused when images and method are the same.

    Args:
        file: .npz file; replaced when it does not fit.
        images: normal images, uint8 S x S x 3 BGR.
        kind: the method, or ``auto``.
        progress: called with the number of images done.
    """
    digest = hashlib.sha256(kind.encode())
    for image in images:
        digest.update(image.tobytes())
    key = digest.hexdigest()
    try:
        with open_regular(file) as stream, np.load(stream) as stored:
            if str(stored["key"]) == key:
                unpacked = np.unpackbits(stored["bits"], axis=-1, count=images[0].shape[1]).astype(np.bool_)
                cached = [mask if mask.any() else None for mask in unpacked]
                return ForegroundMasks(str(stored["method"]), cached, int(stored["failed"]))  # type: ignore[arg-type]
    except DAMAGED:
        pass
    method, per_image, failed = masks(images, kind, progress)
    if method != "none":
        empty = np.zeros(images[0].shape[:2], np.bool_)
        bits = np.packbits(np.stack([empty if mask is None else mask for mask in per_image]), axis=-1)
        content = io.BytesIO()
        np.savez_compressed(content, key=key, method=method, failed=failed, bits=bits)
        write_atomically(file, content.getvalue())
    return ForegroundMasks(method, per_image, failed)
