"""Draw a result over its frame: the map in fixed colors, the regions, the verdict below."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.geometry import scaled_box
from dmdd_edge.data.images import MIN_SIDE
from dmdd_edge.evaluation.pictures import heat_overlay
from dmdd_edge.runtime.frame import as_bgr
from dmdd_edge.runtime.result import Region, Result

Image = NDArray[np.uint8]
#: Left, top, right, bottom in pixels; right and bottom belong to the box.
Box = tuple[int, int, int, int]

#: A narrower frame is enlarged by a whole number to at least this width, in pixels: below it the verdict and
#: the boxes are unreadable.
READABLE_WIDTH = 320
#: Largest longer side of an enlarged frame, in pixels.
_LARGEST_ENLARGED = 1280
#: More boxes than these hide the image. The regions with the highest peaks come first.
_MOST_BOXES = 40
#: Shortest side of a box, in pixels of the drawn image.
_SHORTEST_SIDE = 12
#: Regions with no side longer than the first number are specks; only the second number of them get a box.
_SPECK, _MOST_SPECKS = 6, 12
#: Boxes within this distance become one, in pixels.
_GAP = 4

#: The fields of a region's box.
_BOX = ("x", "y", "width", "height")

_FONT = cv2.FONT_HERSHEY_SIMPLEX
# White within black is visible on any background.
_LIGHT, _DARK = (255, 255, 255), (0, 0, 0)
_COLORS = {
    "good": (80, 160, 60),
    "suspect": (200, 60, 140),
    "anomalous": (40, 40, 220),
    "unreliable": (0, 100, 220),
}
_SMALLEST_TEXT = 0.42


def draw_overlay(
    image: Image, result: Result, longest: int | None = None, caption: bool = True, enlarge: bool = True
) -> Image:
    """Draw a result over its frame; the colors are fixed to the result's pixel threshold.

    Regions are framed in white within black: at most 40, and at most 12 specks of up to 6 pixels. A smaller
    box grows to 12 pixels per side, and adjacent boxes become one. An anomalous frame without a region has a
    circle around the highest value of its map.

    Args:
        image: the frame, uint8 H x W x 3 BGR, or gray H x W.
        result: its result.
        longest: largest longer side of the returned image in pixels; None keeps its size.
        caption: add a strip with the verdict below the image.
        enlarge: enlarge a frame narrower than 320 pixels by a whole number, so that it is readable.

    Returns:
        uint8 (h + the strip) x w x 3 BGR. The image is at the upper left corner with or without the strip;
        it has the frame's size and coordinates, multiplied by w / W if it was enlarged or shrunk. Frames of
        one size give images of one size.
    """
    bgr, result = scaled(as_bgr(image), result, _scale(image.shape[:2], longest, enlarge))
    anomaly_map = result.anomaly_map
    geometry = result.geometry or result.preprocess.geometry(bgr.shape, len(anomaly_map))
    if not geometry.is_whole:
        anomaly_map = geometry.map_to_source(anomaly_map)
    # A map of the whole frame is stretched by heat_overlay, after coloring: several times faster.
    drawing = heat_overlay(as_bgr(bgr), anomaly_map, result.pixel_threshold)
    line = max(1, round(min(bgr.shape[:2]) / 400))
    for left, top, right, bottom in boxes(result.regions, drawing.shape[1], drawing.shape[0]):
        for color, thickness in ((_DARK, line + 2), (_LIGHT, line)):
            cv2.rectangle(drawing, (left, top), (right, bottom), color, thickness)
    lower = "" if result.suspect_threshold is None else f", suspect {result.suspect_threshold:.4f}"
    text = f"{result.status}  {result.score:.4f}  (threshold {result.threshold:.4f}{lower})"
    if result.reason:
        text = f"{result.status}: {result.reason}"
    elif result.gated:
        text += "  no region is large enough"
    elif result.status in ("anomalous", "suspect") and not result.regions:
        text += "  highest value circled" * _mark_peak(drawing, anomaly_map, line)
    if not caption:
        return drawing
    return np.vstack([drawing, _strip(text, drawing.shape[1], _COLORS[result.status])])


def scaled(image: Image, result: Result, scale: float) -> tuple[Image, Result]:
    """Resize a frame and the source pixels of its result; no side becomes shorter than 16 pixels.

    Args:
        image: uint8 H x W or H x W x 3.
        result: of this frame.
        scale: 1 returns both as they are.

    Returns:
        The resized frame, and the result with its regions and region of interest in the new pixels; the area
        of a region stays in source pixels.
    """
    if scale == 1:
        return image, result
    height, width = image.shape[:2]
    size = (max(round(width * scale), MIN_SIDE), max(round(height * scale), MIN_SIDE))

    def box(*place: int) -> Box:
        x, y, w, h = place
        return scaled_box((x, y, w, h), (height, width), size[::-1])

    preprocess, geometry = result.preprocess, result.geometry
    if preprocess.roi is not None:
        preprocess = preprocess.model_copy(update={"roi": box(*preprocess.roi)})
    if geometry is not None:
        geometry = geometry.resized(*size[::-1])
    regions = tuple(
        replace(region, **dict(zip(_BOX, box(region.x, region.y, region.width, region.height), strict=True)))
        for region in result.regions
    )
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)
    return resized, replace(result, regions=regions, preprocess=preprocess, geometry=geometry)


def boxes(regions: Sequence[Region], width: int, height: int) -> list[Box]:
    """Boxes to draw for the regions of an image of this size; see ``draw_overlay``.

    Args:
        regions: highest peak first.
        width, height: of the image in pixels.
    """
    merged: list[Box] = []
    specks = [region for region in regions if max(region.width, region.height) <= _SPECK]
    left_out = {id(region) for region in specks[_MOST_SPECKS:]}
    drawn = [region for region in regions if id(region) not in left_out]
    for region in drawn[:_MOST_BOXES]:
        left, right = _side(region.x, region.width, width)
        top, bottom = _side(region.y, region.height, height)
        box = (left, top, right, bottom)
        # A union can touch a box that neither of its parts touched, so check again.
        while touching := [other for other in merged if _touch(box, other)]:
            merged = [other for other in merged if other not in touching]
            lows = (min(one[k] for one in (box, *touching)) for k in (0, 1))
            highs = (max(one[k] for one in (box, *touching)) for k in (2, 3))
            box = (*lows, *highs)  # type: ignore[assignment]
        merged.append(box)
    return merged


def _scale(shape: tuple[int, ...], longest: int | None, enlarge: bool) -> float:
    height, width = shape[:2]
    limit = math.inf if longest is None else longest
    if max(height, width) > limit:
        return max(limit / max(height, width), MIN_SIDE / min(height, width))
    if not enlarge or width >= READABLE_WIDTH:
        return 1
    most = int(min(limit, _LARGEST_ENLARGED) / max(height, width))
    return max(1, min(-(-READABLE_WIDTH // width), most))


def _side(start: int, length: int, size: int) -> tuple[int, int]:
    """First and last pixel of one side of a box, enlarged around its center to the shortest side."""
    missing = max(0, min(_SHORTEST_SIDE, size) - length)
    first = min(max(0, start - missing // 2), max(0, size - length - missing))
    return first, min(first + length + missing, size) - 1


def _touch(a: Box, b: Box) -> bool:
    across = max(a[0] - b[2], b[0] - a[2])
    down = max(a[1] - b[3], b[1] - a[3])
    return max(across, down) <= _GAP


def _mark_peak(drawing: Image, anomaly_map: NDArray[np.float32], line: int) -> bool:
    """Circle the highest value of a map; false if all values are zero or not finite."""
    if not np.isfinite(anomaly_map).all() or anomaly_map.max() <= 0:
        return False
    rows, columns = anomaly_map.shape
    row, column = divmod(int(anomaly_map.argmax()), columns)
    height, width = drawing.shape[:2]
    center = (int((column + 0.5) * width / columns), int((row + 0.5) * height / rows))
    radius = max(_SHORTEST_SIDE, min(height, width) // 16)
    for color, thickness in ((_DARK, line + 2), (_LIGHT, line)):
        cv2.circle(drawing, center, radius, color, thickness, cv2.LINE_AA)
    return True


def _strip(text: str, width: int, color: tuple[int, int, int]) -> Image:
    """A line of text on white, as large as the width allows and readable; cut if it is too long."""
    (_, high), _ = cv2.getTextSize("Ag", _FONT, 1.0, 1)
    largest = max(width / 1000, 0.5)
    fits = 0.94 * width
    while len(text) > 4 and _SMALLEST_TEXT * _length(text) > fits:
        text = f"{text.removesuffix('...')[:-1]}..."
    scale = min(fits / _length(text), largest)
    # From the largest text, so that the height is the same for every text: a video has one size.
    height = max(round(2.2 * high * largest), 8)
    strip = np.full((height, width, 3), 255, np.uint8)
    origin = (round(0.03 * width), round(height / 2 + high * scale / 2))
    thick = max(1, round(1.6 * scale))
    cv2.putText(strip, text, origin, _FONT, scale, color, thick, cv2.LINE_AA)
    return strip


def _length(text: str) -> int:
    (long, _), _ = cv2.getTextSize(text, _FONT, 1.0, 1)
    return max(long, 1)
