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
#: A frame with a longer side is large: it is shrunk to this side, in pixels, unless a size is given.
LARGEST_DRAWN = 2560
#: A long web is not shrunk below this width, in pixels, up to the longest side that is drawn at all.
_NARROWEST, _LONGEST_DRAWN = 480, 10_240
#: A region whose longer side is shorter than the first number, in pixels of the drawing on a screen that has
#: the second number along the drawing's longer side, is too small to be looked at: boxes then bear numbers,
#: under which ``closeups`` shows the regions. An enlarged frame shows every pixel anyway.
_TOO_SMALL, _SCREEN = 24, 1280
#: Width of the narrowest overlay whose regions bear numbers, in pixels: close-ups need that room.
_ROOM = 320
#: More boxes than these hide the image. The regions with the highest peaks come first.
_MOST_BOXES = 40
#: Shortest side of a box, in pixels of the drawn image; or this share of its shorter side, if that is more.
_SHORTEST_SIDE, _SHORTEST_SHARE = 12, 1 / 80
#: Regions with no side longer than the first number are specks; only the second number of them get a box.
_SPECK, _MOST_SPECKS = 6, 12
#: Boxes within this distance become one, in pixels.
_GAP = 4

#: The fields of a region's box.
_BOX = ("x", "y", "width", "height")

FONT = cv2.FONT_HERSHEY_SIMPLEX
# White within black is visible on any background.
LIGHT, DARK = (255, 255, 255), (0, 0, 0)
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
    box grows to 12 pixels per side, of a large frame to an eightieth of it, and adjacent boxes become one. An
    anomalous frame without a region has a circle around the highest value of its map. A large frame is shrunk
    before anything is drawn. Where a region is too small to be looked at, the boxes bear numbers; see
    ``closeups``.

    Args:
        image: the frame, uint8 H x W x 3 BGR, or gray H x W.
        result: its result.
        longest: largest longer side of the returned image in pixels; None keeps the size of a frame of up to
            2560 pixels and shrinks a larger one to that, a long web so that it stays 480 pixels wide.
        caption: add a strip with the verdict below the image.
        enlarge: enlarge a frame narrower than 320 pixels by a whole number, so that it is readable.

    Returns:
        uint8 (h + the strip) x w x 3 BGR. The image is at the upper left corner with or without the strip;
        it has the frame's size and coordinates, multiplied by w / W if it was enlarged or shrunk. Frames of
        one size give images of one size.
    """
    scale = _scale(image.shape[:2], longest, enlarge)
    numbers = _bears_numbers(result.regions, image.shape, scale)
    bgr, result = scaled(as_bgr(image), result, scale)
    anomaly_map = result.anomaly_map
    geometry = result.geometry or result.preprocess.geometry(bgr.shape, len(anomaly_map))
    if not geometry.is_whole:
        anomaly_map = geometry.map_to_source(anomaly_map)
    # A map of the whole frame is stretched by heat_overlay, after coloring: several times faster.
    drawing = heat_overlay(bgr, anomaly_map, result.pixel_threshold)
    line = max(1, round(min(bgr.shape[:2]) / 400))
    framed = boxes(result.regions, drawing.shape[1], drawing.shape[0])
    for number, (left, top, right, bottom) in enumerate(framed, 1):
        for color, thickness in ((DARK, line + 2), (LIGHT, line)):
            cv2.rectangle(drawing, (left, top), (right, bottom), color, thickness)
        if numbers:
            _write_number(drawing, number, (left, top, right, bottom), line)
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

    preprocess, geometry = result.preprocess, result.geometry
    if preprocess.roi is not None:
        roi = scaled_box(preprocess.roi, (height, width), size[::-1])
        preprocess = preprocess.model_copy(update={"roi": roi})
    if geometry is not None:
        geometry = geometry.resized(*size[::-1])
    regions = tuple(_resized(region, (height, width), size[::-1]) for region in result.regions)
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    resized = np.asarray(cv2.resize(image, size, interpolation=method), dtype=np.uint8)
    return resized, replace(result, regions=regions, preprocess=preprocess, geometry=geometry)


def boxes(regions: Sequence[Region], width: int, height: int) -> list[Box]:
    """Boxes to draw for the regions of an image of this size; see ``draw_overlay``.

    Args:
        regions: highest peak first.
        width, height: of the image in pixels.
    """
    return [box for box, _ in _grouped(regions, width, height)]


def _grouped(regions: Sequence[Region], width: int, height: int) -> list[tuple[Box, list[int]]]:
    """The boxes, each with the numbers of the regions in it."""
    merged: list[tuple[Box, list[int]]] = []
    specks = [at for at, region in enumerate(regions) if max(region.width, region.height) <= _SPECK]
    left_out = set(specks[_MOST_SPECKS:])
    drawn = [at for at in range(len(regions)) if at not in left_out]
    shortest = round(min(width, height) * _SHORTEST_SHARE)
    for at in drawn[:_MOST_BOXES]:
        region = regions[at]
        left, right = _side(region.x, region.width, width, shortest)
        top, bottom = _side(region.y, region.height, height, shortest)
        box, members = (left, top, right, bottom), [at]
        # A union can touch a box that neither of its parts touched, so check again.
        while touching := [other for other in merged if _touch(box, other[0])]:
            merged = [other for other in merged if other not in touching]
            lows = (min(one[k] for one in (box, *(other for other, _ in touching))) for k in (0, 1))
            highs = (max(one[k] for one in (box, *(other for other, _ in touching))) for k in (2, 3))
            box = (*lows, *highs)  # type: ignore[assignment]
            members = sorted([*members, *(one for _, others in touching for one in others)])
        merged.append((box, members))
    return merged


def numbered(
    shape: tuple[int, ...], result: Result, longest: int | None = None, always: bool = False
) -> list[list[Region]]:
    """The regions in each of the boxes to which an overlay writes numbers, from 1; none if it writes none.

    Args:
        shape: of the frame: rows, columns.
        result: its result.
        longest: as for ``draw_overlay``.
        always: also where the boxes bear no numbers.
    """
    height, width = shape[:2]
    scale = _scale(shape, longest, True)
    if not always and not _bears_numbers(result.regions, shape, scale):
        return []
    drawn = (max(round(height * scale), MIN_SIDE), max(round(width * scale), MIN_SIDE))
    small = [_resized(region, (height, width), drawn) for region in result.regions]
    return [[result.regions[at] for at in group] for _, group in _grouped(small, drawn[1], drawn[0])]


def _bears_numbers(regions: Sequence[Region], shape: tuple[int, ...], scale: float) -> bool:
    """Whether one of the regions is too small to be looked at on an overlay of this scale."""
    seen = min(scale, _SCREEN / max(shape[:2]))
    if scale > 1 or shape[1] * scale < _ROOM:
        return False
    return any(max(one.width, one.height) * seen < _TOO_SMALL for one in regions)


def _write_number(drawing: Image, number: int, box: Box, line: int) -> None:
    """Write a number beside a box: above it, or below where there is no room."""
    left, top, _, bottom = box
    scale = max(0.5, 0.35 * line + 0.25)
    (wide, high), _ = cv2.getTextSize(str(number), FONT, scale, line)
    x = min(max(left, 2), max(drawing.shape[1] - wide - 2, 0))
    y = top - line - 4 if top - line - 4 - high > 0 else min(bottom + high + line + 6, drawing.shape[0] - 2)
    write_label(drawing, str(number), (x, y), scale, line)


def write_label(drawing: Image, text: str, at: tuple[int, int], scale: float, line: int = 1) -> None:
    """Write a text, white on black; ``at`` is the left end of its base line."""
    (wide, high), below = cv2.getTextSize(text, FONT, scale, line)
    x, y = at
    cv2.rectangle(drawing, (x - 2, y - high - 2), (x + wide + 2, y + below), DARK, cv2.FILLED)
    cv2.putText(drawing, text, at, FONT, scale, LIGHT, line, cv2.LINE_AA)


def _resized(region: Region, old: tuple[int, int], new: tuple[int, int]) -> Region:
    """A region of a frame with ``old`` rows and columns in the same frame with ``new`` ones."""
    box = scaled_box((region.x, region.y, region.width, region.height), old, new)
    return replace(region, **dict(zip(_BOX, box, strict=True)))


def _scale(shape: tuple[int, ...], longest: int | None, enlarge: bool) -> float:
    height, width = shape[:2]
    if longest is None and max(height, width) > LARGEST_DRAWN:
        longer, shorter = max(height, width), min(height, width)
        readable = max(LARGEST_DRAWN / longer, _NARROWEST / shorter)
        return max(min(readable, _LONGEST_DRAWN / longer, 1), MIN_SIDE / shorter)
    limit = math.inf if longest is None else longest
    if max(height, width) > limit:
        return max(limit / max(height, width), MIN_SIDE / min(height, width))
    if not enlarge or width >= READABLE_WIDTH:
        return 1
    most = int(min(limit, _LARGEST_ENLARGED) / max(height, width))
    return max(1, min(-(-READABLE_WIDTH // width), most))


def _side(start: int, length: int, size: int, shortest: int) -> tuple[int, int]:
    """First and last pixel of one side of a box, enlarged around its center to the shortest side."""
    missing = max(0, min(max(_SHORTEST_SIDE, shortest), size) - length)
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
    for color, thickness in ((DARK, line + 2), (LIGHT, line)):
        cv2.circle(drawing, center, radius, color, thickness, cv2.LINE_AA)
    return True


def _strip(text: str, width: int, color: tuple[int, int, int]) -> Image:
    """A line of text on white, as large as the width allows and readable; cut if it is too long."""
    (_, high), _ = cv2.getTextSize("Ag", FONT, 1.0, 1)
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
    cv2.putText(strip, text, origin, FONT, scale, color, thick, cv2.LINE_AA)
    return strip


def _length(text: str) -> int:
    (long, _), _ = cv2.getTextSize(text, FONT, 1.0, 1)
    return max(long, 1)
