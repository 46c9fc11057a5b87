"""The smallest region that makes a part anomalous."""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict

from dmdd_edge.bundle.area import Area, parse_area
from dmdd_edge.data.components import windows
from dmdd_edge.errors import OptionError
from dmdd_edge.fields import PositiveLength, Sparse, Text

#: A quotient of two decimal numbers may miss a whole number of pixels by this share.
_ROUNDING = 1e-9


class Gate(Sparse):
    """What a region needs, besides values above the threshold of the map.

    Attributes:
        min_area: smallest area of a region, as ``parse_area`` reads it; None or 0 for any.
        mm_per_px: millimeters per pixel of the source image; None when that is not known.
    """

    SPARSE = ("min_area", "mm_per_px")

    model_config = ConfigDict(frozen=True)

    min_area: Text | None = None
    mm_per_px: PositiveLength | None = None

    @cached_property
    def smallest(self) -> float:
        """Smallest area of a region in pixels of the source image; 0 for any.

        Raises:
            OptionError: it is in square millimeters, and their size in pixels is not known.
        """
        area = Area(0.0) if self.min_area is None else parse_area(self.min_area)
        if area.unit == "px" or area.value == 0:
            return area.value
        if self.mm_per_px is None:
            raise OptionError(
                f"--min-area {self.min_area} is in square millimeters, and the size of a pixel is not known.",
                "Add --mm-per-px, the millimeters per pixel of the source image; or give pixels: 120px.",
            )
        return area.value / self.mm_per_px**2

    def describe(self) -> str:
        """The smallest area for a person, in pixels of the source image and as it was given."""
        given = str(self.min_area)
        return given if given.endswith("px") else f"{given} = {self.smallest:.4g}px"

    def __bool__(self) -> bool:
        return self.smallest > 0

    def admits(self, area: float) -> bool:
        """Whether a region of this area counts; ``area`` in pixels of the source image, before rounding."""
        return area >= self.smallest * (1 - _ROUNDING)

    def square_mm(self, area: float) -> float | None:
        """An area in pixels of the source image as square millimeters; None when that is not known."""
        return None if self.mm_per_px is None else area * self.mm_per_px**2


def combined_gate(kept: Gate, min_area: str | float | None, mm_per_px: float | None) -> Gate:
    """The gate of a run: what is given for it, else what is kept with the threshold.

    Raises:
        OptionError: an area or a size is malformed, or the area needs a size that is not known.
    """
    if mm_per_px is not None and not (math.isfinite(mm_per_px) and mm_per_px > 0):
        raise OptionError(f"--mm-per-px is {mm_per_px:g}; it must be more than 0.", "Give for example 0.05.")
    gate = Gate(
        min_area=kept.min_area if min_area is None else str(parse_area(min_area)),
        mm_per_px=kept.mm_per_px if mm_per_px is None else mm_per_px,
    )
    gate.smallest  # noqa: B018 - raises when it cannot be known
    return gate


def reach(anomaly_map: NDArray[np.float32], source_pixels: float, gate: Gate) -> float:
    """The level below which a map has a region that a gate admits: above level t it has one iff t < reach.

    For decisions at several levels, or at a level that is not known yet; at one known level
    ``find_regions`` says the same in less time.

    Args:
        anomaly_map: float32 rows x columns, 0..1, without not-a-number.
        source_pixels: pixels of the source image per pixel of the map.
        gate: what a region needs.

    Returns:
        a value of the map; minus infinity when not even the whole map is large enough.
    """
    if not gate:
        return float(anomaly_map.max())
    return _reach(anomaly_map, lambda area: gate.admits(area * source_pixels), gate.smallest / source_pixels)


def _reach(anomaly_map: NDArray[np.float32], admits: Callable[[int], bool], smallest: float) -> float:
    """See ``reach``; areas in pixels of the map."""
    if not admits(anomaly_map.size):
        return -math.inf
    best = _low_reach(anomaly_map, admits, smallest)
    # A region above a higher level is inside of one at this level, so it is looked for there alone.
    for window in windows(anomaly_map >= best):
        for number, (area, box) in enumerate(zip(window.areas, window.boxes, strict=True), start=1):
            if admits(int(area)):
                x, y, width, height = (int(value) for value in box)
                rows, columns = slice(y, y + height), slice(x, x + width)
                inside = window.labels[y - window.y :, x - window.x :][:height, :width] == number
                part = np.where(inside, anomaly_map[rows, columns], -1)
                best = _reach_of_part(part, best, admits)
    return float(best)


def _reach_of_part(part: NDArray[np.float32], best: float, admits: Callable[[int], bool]) -> float:
    """The highest level at which a part of a map has a region that is admitted, but at least ``best``."""
    import cv2

    levels = np.unique(part[part > best])

    def has(level: float) -> bool:
        mask = (part >= level).view(np.uint8)
        _, _, stats, _ = cv2.connectedComponentsWithStats(mask, connectivity=8)
        return admits(int(stats[1:, cv2.CC_STAT_AREA].max(initial=0)))

    low, high = -1, len(levels)  # it holds at low, and not at high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if has(levels[middle]) else (low, middle)
    return best if low < 0 else float(levels[low])


def _low_reach(anomaly_map: NDArray[np.float32], admits: Callable[[int], bool], smallest: float) -> float:
    """A level that the reach of a map is at least, found on fewer pixels."""
    import cv2

    side = math.ceil(math.sqrt(smallest))
    step = side // 8
    if step > 1:
        # The least values of blocks: a region of whole blocks is in a region of pixels.
        rows, columns = anomaly_map.shape[0] // step, anomaly_map.shape[1] // step
        blocks = anomaly_map[: rows * step, : columns * step].reshape(rows, step, columns, step)
        least = np.ascontiguousarray(blocks.min(axis=(1, 3)))
        level = _reach(least, lambda area: admits(area * step * step), smallest / (step * step))
    elif min(anomaly_map.shape) < side:
        level = -math.inf
    else:
        # The least values of squares of that area.
        square = np.ones((side, side), np.uint8)
        border = cv2.BORDER_CONSTANT
        level = float(cv2.erode(anomaly_map, square, borderType=border, borderValue=-1).max())
    return max(level, float(anomaly_map.min()))
