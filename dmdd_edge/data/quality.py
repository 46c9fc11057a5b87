"""Checks whether a frame is usable: not black, saturated or blurred far beyond the training images.

The limits are computed from the training images and stored in the manifest. They are deliberately generous:
they catch a failed lamp, a shifted lens or a cap left on, not a darker part.
"""

from __future__ import annotations

import math
from collections.abc import Iterable

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.data.tiles import Layout
from dmdd_edge.errors import DataError
from dmdd_edge.fields import Share

#: Gray levels from which a pixel counts as saturated, and up to which it counts as black.
SATURATED_FROM, BLACK_TO = 250, 5

#: The mean level may go half of the way from the training images' extreme to all black or all white.
LEVEL_MARGIN = 0.5
#: The shares of saturated and of black pixels may go half of the way from the largest seen to all.
SHARE_MARGIN = 0.5
#: The sharpness may fall to a tenth of the lowest seen: a blur that also hides defects.
SHARPNESS_MARGIN = 0.1

_LEVELS = np.arange(256, dtype=np.float64)
#: Pixels along a side among which the strongest edges are looked for; all of them would cost too much.
_SAMPLED = 128
#: The same of a tiled view for its light; and most of its tiles whose edges are measured, in all and in a
#: column of them.
_SAMPLED_VIEW, _TILES, _TILES_DOWN = 512, 16, 4
#: Above the largest size of a Laplacian of 3 x 3 pixels: four times the difference of black and white.
_STEEPEST = 4 * 255 + 1
#: Side of the small image that the position is measured on, in pixels, and the centers of its inner pixels.
_THUMBNAIL = 64
_PLACES = (np.arange(1, _THUMBNAIL - 1, dtype=np.float32) + 0.5) / _THUMBNAIL


class FrameStatistics(BaseModel):
    """Statistics of a frame after the resize.

    Attributes:
        mean: mean gray level, 0..255.
        saturated: share of pixels at or above gray level 250, 0..1.
        black: share of pixels at or below gray level 5, 0..1.
        sharpness: variance of the Laplacian of the gray image, in squared gray levels.
        edges: mean size of the Laplacian in the hundredth of the pixels where it is largest, over the
            standard deviation of the gray image. The light cancels out, and texture hardly counts.
        x, y: where the edges are: their center of mass, in shares of the frame's sides, 0..1.
    """

    model_config = ConfigDict(frozen=True)

    mean: float
    saturated: float
    black: float
    sharpness: float
    edges: float
    x: float
    y: float


class FrameLimits(BaseModel):
    """Outside these a frame is ``unreliable``; the manifest's ``frame_limits``.

    Attributes:
        mean_min, mean_max: mean gray level, 0..255.
        saturated_max, black_max: shares of pixels, 0..1.
        sharpness_min: variance of the Laplacian, in squared gray levels.
        images: number of images that the limits were computed from.
    """

    model_config = ConfigDict(frozen=True)

    mean_min: float = Field(ge=0, le=255)
    mean_max: float = Field(ge=0, le=255)
    saturated_max: Share
    black_max: Share
    sharpness_min: float = Field(ge=0, le=1e9)
    images: int = Field(ge=1, le=10**9)


def frame_statistics(image: NDArray[np.uint8], ignored: NDArray[np.bool_] | None = None) -> FrameStatistics:
    """Measure one frame.

    Args:
        image: uint8 S x S x 3 BGR, after preprocessing and resize.
        ignored: bool S x S, True where a pixel does not count; None when all count.
    """
    gray = np.asarray(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY), np.uint8)
    counted, inner = _counted(ignored)
    # One histogram gives the mean and both shares.
    histogram = cv2.calcHist([gray], [0], counted, [256], [0, 256]).ravel()
    pixels = max(float(histogram.sum()), 1.0)
    mean, spread = _mean_and_spread(np.asarray(histogram, np.float64))
    laplacian = np.asarray(cv2.Laplacian(gray, cv2.CV_16S), np.int16)
    _, deviation = cv2.meanStdDev(laplacian, mask=inner)
    x, y = _center(gray)
    return FrameStatistics(
        mean=mean,
        saturated=float(histogram[SATURATED_FROM:].sum()) / pixels,
        black=float(histogram[: BLACK_TO + 1].sum()) / pixels,
        sharpness=float(np.asarray(deviation).ravel()[0]) ** 2,
        edges=_strongest(_sizes(laplacian, inner)) / max(spread, 1.0),
        x=x,
        y=y,
    )


def view_statistics(view: NDArray[np.uint8], layout: Layout) -> FrameStatistics:
    """Measure one view; of a tiled one the light on a grid of its pixels, the edges on a few of its tiles.

    Blur shows at the scale of the tiles alone, so what is measured of edges is measured there; the cost does
    not grow with the view.

    Args:
        view: uint8 rows x columns x 3 BGR, as ``Preprocess.prepare`` makes it.
        layout: of the view.
    """
    if layout.tiling is None:
        return frame_statistics(view, layout.ignored)
    step = max(1, min(layout.shape) // _SAMPLED_VIEW)
    ignored = layout.ignored
    whole = frame_statistics(
        np.ascontiguousarray(view[::step, ::step]), None if ignored is None else ignored[::step, ::step]
    )
    histogram = np.zeros(_STEEPEST)
    levels = np.zeros(256)
    count, total, squares = 0.0, 0.0, 0.0
    for row, column in _spread(layout):
        place = np.s_[row : row + layout.size, column : column + layout.size]
        gray = np.asarray(cv2.cvtColor(np.ascontiguousarray(view[place]), cv2.COLOR_BGR2GRAY), np.uint8)
        counted, inner = _counted(None if ignored is None else ignored[place])
        levels += cv2.calcHist([gray], [0], counted, [256], [0, 256]).ravel()
        laplacian = np.asarray(cv2.Laplacian(gray, cv2.CV_16S), np.int16)
        histogram += _sizes(laplacian, inner)
        pixels = float(laplacian.size if inner is None else cv2.countNonZero(inner))
        mean, deviation = (float(item[0, 0]) for item in cv2.meanStdDev(laplacian, mask=inner))
        count, total = count + pixels, total + pixels * mean
        squares += pixels * (deviation**2 + mean**2)
    count = max(count, 1.0)
    spread = _mean_and_spread(levels)[1]
    return whole.model_copy(
        update={
            "sharpness": squares / count - (total / count) ** 2,
            "edges": _strongest(histogram) / max(spread, 1.0),
        }
    )


def _spread(layout: Layout) -> list[tuple[int, int]]:
    """Some of a view's tiles, at most 16, spread over it in both directions."""

    def some(starts: tuple[int, ...], most: int) -> list[int]:
        chosen = np.linspace(0, len(starts) - 1, min(most, len(starts))).round().astype(int)
        return [starts[index] for index in chosen]

    down = some(layout.rows, _TILES if len(layout.columns) == 1 else _TILES_DOWN)
    grid = [(row, column) for row in down for column in some(layout.columns, _TILES // len(down))]
    judged = set(layout.places)
    return [place for place in grid if place in judged] or list(layout.places[:_TILES])


def _counted(ignored: NDArray[np.bool_] | None) -> tuple[NDArray[np.uint8] | None, NDArray[np.uint8] | None]:
    """Which pixels count, as OpenCV takes it, and which of them have no neighbor that does not."""
    if ignored is None:
        return None, None
    counted = np.where(ignored, 0, 255).astype(np.uint8)
    # The border of an ignored part is an edge of our own making and must not count as sharpness.
    return counted, np.asarray(cv2.erode(counted, np.ones((3, 3), np.uint8)), dtype=np.uint8)


def _mean_and_spread(levels: NDArray[np.float64]) -> tuple[float, float]:
    """Mean and standard deviation of gray levels, from their histogram."""
    pixels = max(float(levels.sum()), 1.0)
    mean = float(levels @ _LEVELS) / pixels
    return mean, math.sqrt(float(levels @ (_LEVELS - mean) ** 2) / pixels)


def _sizes(laplacian: NDArray[np.int16], counted: NDArray[np.uint8] | None) -> NDArray[np.float64]:
    """A histogram of the Laplacian's size on a grid of pixels."""
    step = max(1, min(laplacian.shape) // _SAMPLED)
    sizes = np.abs(laplacian[::step, ::step]).view(np.uint16)
    if counted is not None:
        counted = np.ascontiguousarray(counted[::step, ::step])
    return np.asarray(cv2.calcHist([sizes], [0], counted, [_STEEPEST], [0, _STEEPEST]).ravel(), np.float64)


def _strongest(histogram: NDArray[np.float64]) -> float:
    """Mean size of the Laplacian in the hundredth of the pixels where it is largest, from its histogram."""
    above = np.cumsum(histogram[::-1], dtype=np.float64)
    wanted = float(above[-1]) / 100
    if wanted == 0:
        return 0.0
    # The pixels of the last size that is reached count as far as they are needed.
    taken = np.diff(np.minimum(above, wanted), prepend=0.0)
    return float(taken @ np.arange(_STEEPEST - 1, -1, -1)) / wanted


def _center(gray: NDArray[np.uint8]) -> tuple[float, float]:
    """Center of mass of the edges, in shares of the sides; the middle where there is no edge."""
    small = cv2.resize(gray, (_THUMBNAIL, _THUMBNAIL), interpolation=cv2.INTER_AREA)
    across = cv2.absdiff(small[1:-1, 2:], small[1:-1, :-2])
    down = cv2.absdiff(small[2:, 1:-1], small[:-2, 1:-1])
    steep = cv2.add(across, down, dtype=cv2.CV_32F)
    mass = float(cv2.sumElems(steep)[0])
    if mass == 0:
        return 0.5, 0.5
    columns = cv2.reduce(steep, 0, cv2.REDUCE_SUM).ravel()
    rows = cv2.reduce(steep, 1, cv2.REDUCE_SUM).ravel()
    return float(columns @ _PLACES) / mass, float(rows @ _PLACES) / mass


def limits_from(statistics: Iterable[FrameStatistics], brighter: float = 1.0) -> FrameLimits:
    """Limits from the statistics of training images, with the margins named at the top of this file.

    Args:
        statistics: of the images.
        brighter: images this many times as bright are usable in any case, since the detector makes up for it;
            what is saturated in them has a separate limit.

    Raises:
        DmddError: there is no image.
    """
    seen = list(statistics)
    if not seen:
        raise DataError("There is no training image to compute frame limits from.", "Give at least one.")
    darkest, brightest = min(s.mean for s in seen), max(s.mean for s in seen)
    saturated, black = max(s.saturated for s in seen), max(s.black for s in seen)
    return FrameLimits(
        mean_min=darkest * (1 - LEVEL_MARGIN),
        mean_max=max(brightest + (255 - brightest) * LEVEL_MARGIN, min(brighter * brightest, 255)),
        saturated_max=saturated + (1 - saturated) * SHARE_MARGIN,
        black_max=black + (1 - black) * SHARE_MARGIN,
        sharpness_min=min(s.sharpness for s in seen) * SHARPNESS_MARGIN,
        images=len(seen),
    )


def hint_of_bits(reason: str, peak: int | None) -> str:
    """Hint to add to the reason why a frame cannot be judged, where a wrong number of bits may be the cause.

    Args:
        reason: as ``reason_against`` gives it.
        peak: the largest value of a 16-bit file that is read as using all 16 bits; None for others.
    """
    if peak is None or peak > 4095 or not reason.startswith("too dark"):
        return ""
    bits = 10 if peak < 1024 else 12
    return f" (its 16-bit values end at {peak}: if the camera delivers {bits} bits, train with --bits {bits})"


def check_view(view: NDArray[np.uint8], layout: Layout, limits: FrameLimits) -> str | None:
    """Give the reason why a view cannot be judged, or None; see ``view_statistics``."""
    return reason_against(view_statistics(view, layout), limits)


def reason_against(frame: FrameStatistics, limits: FrameLimits | None) -> str | None:
    """Give the reason why a frame with these statistics cannot be judged, or None; also without limits."""
    if limits is None:
        return None
    if frame.mean < limits.mean_min:
        return f"too dark: mean level {frame.mean:.0f} of 255, limit {limits.mean_min:.0f}"
    if frame.black > limits.black_max:
        return f"too dark: {frame.black:.0%} of the pixels are black, limit {limits.black_max:.0%}"
    if frame.mean > limits.mean_max:
        return f"too bright: mean level {frame.mean:.0f} of 255, limit {limits.mean_max:.0f}"
    if frame.saturated > limits.saturated_max:
        return (
            f"too bright: {frame.saturated:.0%} of the pixels are saturated, limit {limits.saturated_max:.0%}"
        )
    if frame.sharpness < limits.sharpness_min:
        return f"blurred: sharpness {frame.sharpness:.1f}, limit {limits.sharpness_min:.1f}"
    return None
