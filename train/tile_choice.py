"""Chooses the tiling of a category from the sizes of its images and the smallest defect."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.image_header import header_of
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import OptionError
from dmdd_edge.train.option_values import AUTO, parse_extent

#: Pixels of the network's input from which a defect is seen, along its extent. Measured on drawn panels that
#: are stretched to 256 px: PRO is 99 % at 3 pixels, 59 % at 1.5, and 0 below 1 (docs/results/large.md).
SEEN = 3
#: A tile that is chosen shows the smallest defect this many times as large, since one at the limit is seen
#: less well in tiles: PRO is 76 % at 3 pixels, 98 % at 6. The finest features of the backbones are of 4 x 4
#: pixels each: a defect of 6 fills one of them wherever it is.
_MARGIN = 2
#: Extent of the smallest defect, in pixels of the source image, where the user gives none.
USUAL_DEFECT = 12.0
#: A tile is enlarged to twice its pixels at most: there is no more to see in it.
_LARGEST_SCALE = 2
#: The side that is chosen is a multiple of this.
_STEP = 32
#: Images whose headers are read for the usual size.
_HEADERS = 200


def lost_below(source_pixels: float) -> int:
    """Extent in pixels of the source image below which a defect is likely missed.

    Args:
        source_pixels: pixels of the source image along a pixel of the network's input.
    """
    return math.ceil(SEEN * source_pixels)


def usual_size(paths: Sequence[Path]) -> tuple[int, int] | None:
    """The most frequent width and height of images, by the headers of some of them; None if none says it."""
    headers = (header_of(path) for path in paths[:: -(-len(paths) // _HEADERS)])
    sizes = Counter((header.width, header.height) for header in headers if header and header.width > 0)
    return sizes.most_common(1)[0][0] if sizes else None


def defect_pixels(values: Mapping[str, Any]) -> float:
    """Extent of the smallest defect in pixels of the source image, from the values of the options."""
    if values["smallest_defect"] is None:
        return USUAL_DEFECT
    extent, unit = parse_extent(values["smallest_defect"])
    return extent / values["mm_per_px"] if unit == "mm" else extent


def side_for(defect: float, size: int) -> int:
    """The largest side of a tile in which a defect is seen with a margin, in pixels of the source image.

    Args:
        defect: extent in pixels of the source image.
        size: S, side of the network's input.
    """
    side = int(size * defect / (_MARGIN * SEEN))
    return max(side // _STEP, size // _LARGEST_SCALE // _STEP, 1) * _STEP


def choose_tiling(
    values: Mapping[str, Any], plain: Preprocess, paths: Sequence[Path], size: int
) -> tuple[Tiling | None, list[str]]:
    """The tiling that the options give.

    Args:
        values: of the options.
        plain: region and rotation.
        paths: the training images.
        size: S, side of the network's input.

    Returns:
        None where the image is one input; and what a user should know, a line each.

    Raises:
        OptionError: a tile covers the whole image, or the overlap is too large.
    """
    if values["tile"] is None:
        return None, []
    usual = usual_size(paths)
    width, height = (0, 0) if usual is None else _region(plain, usual)
    if values["tile"] == AUTO:
        return _automatic(values, (width, height), size)
    tiling = _tiling(int(values["tile"]), values)
    if usual is not None and tiling.tile >= max(width, height):
        raise OptionError(
            f"--tile {tiling.tile}: one tile covers the images of {width} x {height} pixels.",
            "Give a smaller tile, or leave --tile out.",
        )
    return tiling, []


def _automatic(
    values: Mapping[str, Any], shape: tuple[int, int], size: int
) -> tuple[Tiling | None, list[str]]:
    width, height = shape
    if width == 0:
        raise OptionError(
            "--tile auto: the size of the images is not in their headers.", "Give the tile in pixels."
        )
    defect = defect_pixels(values)
    side = side_for(defect, size)
    assumed = "" if values["smallest_defect"] else " (assumed; --smallest-defect sets another)"
    found = f"smallest defect {defect:.4g} px{assumed}"
    least = lost_below(max(width, height) / size)
    if side >= max(width, height) or defect >= least:
        return None, [
            f"tiles: none needed; {found}, and images of {width} x {height} px in one input show defects "
            f"from about {max(least, 1)} px"
        ]
    tiling = _tiling(side, values)
    lines = [f"tiles: {found}, so tiles of {side} px"]
    if defect < SEEN * side / size:
        lines.append(
            f"note: the smallest defect is {defect * size / side:.2g} px of the network's input, and one of "
            f"fewer than {SEEN} is likely missed; take images with more pixels"
        )
    return tiling, lines


def usual_overlap(side: int) -> int:
    """Pixels by which tiles of a side overlap unless the user says otherwise.

    So much that a defect on the border of two tiles is a region as large as in the middle of a tile
    (benchmarks/large/borders.py).
    """
    return side // 4


def margin_of(overlap: int) -> int:
    """Pixels of an overlap, along a tile's edge, that count only where no other tile shows the place."""
    return overlap // 4


def _tiling(side: int, values: Mapping[str, Any]) -> Tiling:
    overlap = usual_overlap(side) if values["overlap"] is None else values["overlap"]
    if 2 * overlap >= side:
        raise OptionError(
            f"--overlap {overlap} is half of the tile of {side} pixels or more.",
            f"Give less than {side // 2}, or leave it out.",
        )
    return Tiling(tile=side, overlap=overlap, margin=margin_of(overlap), coarse=values["coarse"])


def _region(plain: Preprocess, size: tuple[int, int]) -> tuple[int, int]:
    """Width and height of what is judged of an image of a width and height."""
    width, height = size if plain.roi is None else plain.roi[2:]
    return (width, height) if plain.rotate in (0, 180) else (height, width)


def usual_geometry(preprocess: Preprocess, paths: Sequence[Path], size: int) -> Geometry | None:
    """The geometry of the usual size of images; None if no header says it or the region exceeds it."""
    usual = usual_size(paths)
    if usual is None:
        return None
    width, height = usual
    x, y, w, h = preprocess.roi or (0, 0, width, height)
    return preprocess.geometry((height, width), size) if x + w <= width and y + h <= height else None


def inputs_each(preprocess: Preprocess, paths: Sequence[Path], size: int) -> int:
    """Inputs of the network that an image of the usual size takes; 1 without tiles."""
    geometry = usual_geometry(preprocess, paths, size) if preprocess.tiling is not None else None
    return 1 if geometry is None else geometry.layout.count
