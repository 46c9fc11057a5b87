"""Places of the tiles that a training draws from one image."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.tiles import Layout
from dmdd_edge.train.synthesis.foreground import MIN_SHARE, Mask

#: Share of the tiles that are drawn beside the part. The detector sees tiles of the background too, and a
#: student that has never seen it would report it; it looks alike everywhere, so few are enough.
BACKGROUND = 0.1
#: A tile shows the part when this share of it is on the part.
_TOUCHES = 0.02
#: How far outside of the image a tile may be drawn before it is moved to the border, as a share of its side.
#: The outermost tiles of a detector are always exactly there.
_OUTSIDE = 0.25
#: Places that are drawn for a tile until one is where it is wanted.
_TRIES = 30


def draw_places(
    layout: Layout, part: Mask | None, count: int, rng: np.random.Generator
) -> list[tuple[int, int]]:
    """Draw the places of tiles: most of them on the part, some beside it.

    Args:
        layout: of the view.
        part: where the part is in the whole view, bool of any size; None for everywhere.
        count: number of tiles.
        rng: source of randomness; the same state gives the same places.

    Returns:
        row and column of each tile's upper left pixel in the view; fewer than ``count`` where the view is
        ignored almost everywhere.
    """
    places = []
    for _ in range(count):
        beside = part is not None and rng.random() < BACKGROUND
        found = None
        for _ in range(_TRIES):
            place = _place(layout, rng)
            if _is_ignored(layout, place):
                continue
            found = place
            if part is None or (float(_under(layout, part, place).mean()) >= _TOUCHES) != beside:
                break
        if found is not None:
            places.append(found)
    return places


def part_of_tile(layout: Layout, part: Mask | None, place: tuple[int, int]) -> Mask | None:
    """Where the part is in a tile, bool S x S; None for everywhere, and for a tile beside the part.

    Args:
        layout, part: as of ``draw_places``.
        place: row and column of the tile's upper left pixel in the view.
    """
    if part is None:
        return None
    under = _under(layout, part, place).astype(np.float32)
    mask: Mask = cv2.resize(under, (layout.size, layout.size), interpolation=cv2.INTER_LINEAR) >= 0.5
    return mask if MIN_SHARE <= float(mask.mean()) < 1 else None


def _place(layout: Layout, rng: np.random.Generator) -> tuple[int, int]:
    """A place of which the border has its share."""
    outside = round(_OUTSIDE * layout.size)
    row, column = (
        0 if length == layout.size else int(rng.integers(-outside, length - layout.size + outside + 1))
        for length in layout.shape
    )
    rows, columns = layout.shape
    return min(max(row, 0), rows - layout.size), min(max(column, 0), columns - layout.size)


def _is_ignored(layout: Layout, place: tuple[int, int]) -> bool:
    return layout.ignored is not None and bool(_window(layout, place, layout.ignored).all())


def _window(layout: Layout, place: tuple[int, int], pixels: NDArray[np.bool_]) -> NDArray[np.bool_]:
    row, column = place
    return pixels[row : row + layout.size, column : column + layout.size]


def _under(layout: Layout, part: Mask, place: tuple[int, int]) -> Mask:
    """The pixels of a part's mask that are under a tile, at least one."""
    bounds = []
    for start, length, pixels in zip(place, layout.shape, part.shape, strict=True):
        first = min(start * pixels // length, pixels - 1)
        bounds.append(slice(first, max(-(-(start + layout.size) * pixels // length), first + 1)))
    return part[bounds[0], bounds[1]]
