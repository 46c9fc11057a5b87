"""Reads masks: which pixels a mask file marks, or why it cannot be a mask.

Mask files differ by the tool that wrote them: black and white, class numbers 1, 2, 3, a palette, colors
on black, paint on a transparent layer, smooth edges, the noise of a JPEG. What is marked is decided from
what the file holds. An ambiguous file is an error, never a guess.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.decoding import read_file
from dmdd_edge.errors import DataError
from dmdd_edge.messages.quiet import imdecode

#: Up to this largest value a file holds class numbers: all above 0 count.
_CLASS_NUMBERS = 32
#: Up to this number of different values are levels; more come from smooth edges, noise or a photograph.
_FEW_LEVELS = 16
#: Share of the largest value, from either end, that noise reaches.
_NOISE = 1 / 8
#: Share of the pixels between black and white, edges and classes aside, above which a file is a photograph.
_PHOTOGRAPH = 0.1
_BINS = 64
_LOSSY = ("JPEG", "WebP", "AVIF", "JPEG 2000")
_FIX = "Save the mask alone as a PNG: black, with the defect in white."

Values = NDArray[np.int32]
Mask = NDArray[np.bool_]


def read_mask(path: str | Path) -> Mask:
    """Read a ground-truth or ignore mask as bool H x W, True where marked.

    - Class numbers (no value above 32): all above 0.
    - Levels (black, white, grays or colors of classes): from half of the lowest level that fills an area. So
      every class counts, smooth edges are cut at their middle, and the noise of a JPEG does not count.
    - A transparent layer with paint on it: the paint. Where black and other paint are visible: the other.
    - A palette without black: every color but the first.
    - All black: nothing.

    Raises:
        DmddError: naming the file, when it cannot be read, holds a photograph, or does not show what is not
            marked.
    """
    path = Path(path)
    decoded = read_file(path)
    kind = decoded.header.kind
    colors, alpha = decoded.image, None
    palette = None
    if kind != "JPEG":  # which has neither
        data = np.fromfile(path, np.uint8)
        whole = imdecode(data, cv2.IMREAD_UNCHANGED)
        if whole is not None and whole.ndim == 3 and whole.shape[2] == 4:
            colors, alpha = whole[..., :3], whole[..., 3]
        palette = _first_of_palette(data.tobytes()) if kind == "PNG" else None
    values = colors.max(axis=2).astype(np.int32)
    if alpha is not None:
        values = _visible(values, alpha.astype(np.int32), 255 if alpha.dtype == np.uint8 else 65535)
    elif palette is not None and values.min() > 0:
        values = (colors != palette).any(axis=2).astype(np.int32)
    try:
        return marked(values, lossy=kind in _LOSSY)
    except ValueError as error:
        raise DataError(f"{path}: {error}.", _FIX) from None


def marked(values: Values, lossy: bool = False) -> Mask:
    """Which pixels are marked.

    Args:
        values: int32 H x W, the brightest channel of each pixel, from 0.
        lossy: whether the file's format changes values.

    Returns:
        bool H x W.

    Raises:
        ValueError: the file is ambiguous; the text explains why.
    """
    top = int(values.max())
    levels = np.flatnonzero(np.bincount(values.ravel()))
    if len(levels) == 1:
        return np.full(values.shape, top > 0)
    if top <= _CLASS_NUMBERS:
        if lossy:
            raise ValueError("the class numbers are lost in a format that changes values, such as JPEG")
        if levels[0] > 0:
            raise ValueError("no pixel is black, so the file does not show what is not marked")
        return values > 0
    noise = int(top * _NOISE)
    if len(levels) <= _FEW_LEVELS:
        return _from_levels(values, levels, noise, lossy)
    return _from_shades(values, noise)


def _from_levels(values: Values, levels: NDArray[np.int64], noise: int, lossy: bool) -> Mask:
    """What a drawing of few levels marks."""
    top = int(levels[-1])
    if levels[0] > noise:
        raise ValueError("no pixel is black, so the file does not show what is not marked")
    # Values near both ends are rounding; one near black alone is a class number beside a white one.
    near_black, near_white = (levels > 0) & (levels <= noise), (levels < top) & (levels >= top - noise)
    rounded = lossy or bool(near_black.any() and near_white.any())
    floor = noise if rounded else int(levels[0])
    shown = values > floor
    filled = values[_even(values) & shown]
    lowest = int(filled.min()) if filled.size else top
    return _with_parts(values, shown & (2 * values >= lowest), shown, 1)


def _from_shades(values: Values, noise: int) -> Mask:
    """What a drawing with smooth edges or noise marks, if it is one."""
    top = int(values.max())
    black, white = values <= noise, values >= top - noise
    counts = np.bincount((values * (_BINS - 1) // top).ravel(), minlength=_BINS)
    # Classes are on a black background and fill areas, unlike those of a photograph, and edges are steep.
    flat = np.bincount((values[_even(values, noise, 5)] * (_BINS - 1)) // top, minlength=_BINS)
    classes = _peaks(flat, 0.05 * (values > noise).sum(), noise * _BINS // top) if black.mean() >= 0.5 else []
    explained = sum(counts[level - 1 : level + 2].sum() for level in classes)
    edges = ~black & ~white & _near(black) & _near(white)
    if (
        values.size - sum(map(np.count_nonzero, (black, white, edges))) - explained
        > _PHOTOGRAPH * values.size
    ):
        raise ValueError("the file holds a photograph or shades, not a mask")
    lowest = classes[0] * top // (_BINS - 1) if classes else top
    found = (2 * values >= lowest) & (values > noise)
    return _with_parts(values, found, values > 2 * noise, 8)


def _peaks(counts: NDArray[np.int64], enough: float, noise: int) -> list[int]:
    """Bins between black and white that hold the pixels of a class: enough of them, and few beside them."""
    bins: list[int] = []
    for level in range(noise + 4, _BINS - 1 - noise):
        inside = counts[level - 1 : level + 2].sum()
        beside = max(counts[level - 4 : level - 1].sum(), counts[level + 2 : level + 5].sum())
        if inside >= enough and inside >= 3 * beside and counts[level] == counts[level - 1 : level + 2].max():
            bins.append(level)
    return bins


def _with_parts(values: Values, found: Mask, shown: Mask, least: int) -> Mask:
    """Add the parts of ``shown`` that hold nothing found yet: thin marks that no level fills.

    Of each with ``least`` pixels or more, from half of that part's largest value.
    """
    number, parts = cv2.connectedComponents(shown.astype(np.uint8), connectivity=8)
    covered = np.zeros(number, np.bool_)
    covered[parts[found]] = True
    sizes = np.bincount(parts.ravel(), minlength=number)
    missed = np.flatnonzero(~covered & (sizes >= least))
    missed = missed[missed > 0]
    if missed.size:
        largest = np.zeros(number, np.int32)
        np.maximum.at(largest, parts.ravel().astype(np.intp), values.ravel())
        found = found | (np.isin(parts, missed) & (2 * values >= largest[parts]))
    return found


def _even(values: Values, most: int = 0, side: int = 3) -> Mask:
    """Pixels in whose neighborhood of side x side the values differ by no more than ``most``."""
    window = np.ones((side, side), np.uint8)
    exact = values.astype(np.float32)  # up to 65535, which float32 holds exactly
    even: Mask = cv2.dilate(exact, window) - cv2.erode(exact, window) <= most
    return even


def _near(mask: Mask) -> Mask:
    """Pixels as near to a marked one as a smooth edge is wide."""
    side = 2 * max(9, max(mask.shape) // 40) + 1
    return cv2.dilate(mask.astype(np.uint8), np.ones((side, side), np.uint8)).astype(np.bool_)


def _visible(values: Values, alpha: Values, opaque: int) -> Values:
    """What an image with transparency shows over black; the paint itself where that is uniform."""
    if alpha.min() == alpha.max():
        return values
    shown = values[2 * alpha >= opaque]
    if not shown.size:
        return alpha
    dark = shown <= _NOISE * opaque
    return values * alpha // opaque if dark.any() and not dark.all() else alpha


def _first_of_palette(data: bytes) -> NDArray[Any] | None:
    """The first color of a PNG's palette, BGR, or None where it has no palette."""
    at = 8
    while at + 11 <= len(data):
        size, kind = int.from_bytes(data[at : at + 4], "big"), data[at + 4 : at + 8]
        if kind == b"IHDR" and data[at + 17] != 3:  # colors by palette
            return None
        if kind == b"PLTE":
            return np.frombuffer(data[at + 8 : at + 11], np.uint8)[::-1]
        at += 12 + size
    return None
