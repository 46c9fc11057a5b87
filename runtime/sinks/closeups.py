"""Close-ups: regions of a frame at full resolution, with what surrounds them."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.frame import as_bgr
from dmdd_edge.runtime.result import Region, Result
from dmdd_edge.runtime.sinks.overlay_drawing import DARK, LIGHT, numbered, write_label

Image = NDArray[np.uint8]
#: x, y, width, height in pixels of the frame.
Place = tuple[int, int, int, int]

#: Side of a close-up in pixels.
SIDE = 320
#: The smallest part of a frame that a close-up shows, in pixels: a smaller one shows no surroundings.
_SMALLEST = 96
#: Close-ups of a frame at most; the highest peaks come first.
MOST = 6
_GAP = 8


def places(
    shape: tuple[int, ...], result: Result, longest: int | None = None, always: bool = False
) -> list[Place]:
    """The regions of a frame that need a close-up, in the order of their numbers on the overlay.

    Args:
        shape: of the frame: rows, columns.
        result: its result.
        longest: of the overlay that bears the numbers; see ``draw_overlay``.
        always: also of regions that an overlay shows well enough.

    Returns:
        At most 6 places.
    """
    return [_around(group) for group in numbered(shape, result, longest, always)[:MOST]]


def _around(regions: Sequence[Region]) -> Place:
    """The box around some regions."""
    left, top = min(region.x for region in regions), min(region.y for region in regions)
    right = max(region.x + region.width for region in regions)
    bottom = max(region.y + region.height for region in regions)
    return left, top, right - left, bottom - top


def closeup(image: Image, place: Place, side: int = SIDE) -> Image:
    """A part of a frame around a place, framed; enlarged where it is small, shrunk where it is large.

    Args:
        image: the frame, uint8 H x W x 3 BGR, or gray H x W.
        place: what is shown in the middle.
        side: longer side of the close-up in pixels.

    Returns:
        uint8 BGR; square unless the frame is narrower than what is shown.
    """
    x, y, width, height = place
    longer = max(width, height)
    # A defect of a few pixels is enlarged; one of up to two thirds of the side is seen pixel by pixel.
    shown = max(_SMALLEST, min(3 * longer, max(side, 3 * longer // 2)))
    rows, columns = image.shape[:2]
    left, right = _span(x, width, shown, columns)
    top, bottom = _span(y, height, shown, rows)
    part = image[top:bottom, left:right]
    scale = side / max(part.shape[:2])
    size = (max(1, round(part.shape[1] * scale)), max(1, round(part.shape[0] * scale)))
    method = cv2.INTER_AREA if scale < 1 else cv2.INTER_CUBIC
    drawing = np.ascontiguousarray(as_bgr(np.asarray(cv2.resize(part, size, interpolation=method), np.uint8)))
    first = (round((x - left) * scale) - 3, round((y - top) * scale) - 3)
    last = (round((x + width - left) * scale) + 2, round((y + height - top) * scale) + 2)
    for color, thickness in ((DARK, 3), (LIGHT, 1)):
        cv2.rectangle(drawing, first, last, color, thickness)
    return drawing


def with_closeups(drawing: Image, image: Image, result: Result, longest: int | None = None) -> Image:
    """An overlay with the close-ups of its numbered regions in rows below it.

    Args:
        drawing: from ``draw_overlay``.
        image: the frame.
        result: its result.
        longest: as the overlay was drawn.

    Returns:
        uint8 BGR of the drawing's width; the drawing itself where no region needs a close-up.
    """
    found = places(image.shape, result, longest)
    return np.vstack([drawing, sheet(image, found, drawing.shape[1])]) if found else drawing


def sheet(image: Image, found: Sequence[Place], width: int, side: int = SIDE) -> Image:
    """The close-ups of some places, with their numbers, in rows on white.

    Args:
        image: the frame.
        found: see ``places``; at least one.
        width: of the sheet in pixels.
        side: of a close-up in pixels, at most.

    Returns:
        uint8 BGR.
    """
    side = min(side, width - 2 * _GAP)
    in_a_row = max(1, (width - _GAP) // (side + _GAP))
    rows = -(-len(found) // in_a_row)
    drawing = np.full((_GAP + rows * (side + _GAP), width, 3), 255, np.uint8)
    for number, place in enumerate(found):
        part = closeup(image, place, side)
        x = _GAP + number % in_a_row * (side + _GAP)
        y = _GAP + number // in_a_row * (side + _GAP)
        drawing[y : y + part.shape[0], x : x + part.shape[1]] = part
        label = f"{number + 1}: x {place[0]}, y {place[1]}, {place[2]} x {place[3]} px"
        write_label(drawing, label, (x + 6, y + 18), 0.45)
    return drawing


def _span(start: int, length: int, shown: int, size: int) -> tuple[int, int]:
    """First pixel and end of what is shown along one axis: centered, moved inwards at an edge."""
    shown = min(shown, size)
    first = min(max(start + length // 2 - shown // 2, 0), size - shown)
    return first, first + shown
