"""Where the pixels of a source image are in its view and in its map, and the way back."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import fit_mask
from dmdd_edge.data.maps import fit_map
from dmdd_edge.data.tiles import Layout, Tiling, starts

#: x, y, width, height.
Box = tuple[int, int, int, int]
#: What happens to a region that is not square, where the whole of it is one input of the network: stretched,
#: padded to a square, or cropped to the middle square.
Fit = Literal["stretch", "pad", "crop"]

_CLOCKWISE = {90: cv2.ROTATE_90_CLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_COUNTERCLOCKWISE}
_BACK = {90: cv2.ROTATE_90_COUNTERCLOCKWISE, 180: cv2.ROTATE_180, 270: cv2.ROTATE_90_CLOCKWISE}


@dataclass(frozen=True)
class Geometry:
    """How one source image of a given size becomes its view; made by ``Preprocess.geometry``.

    Attributes:
        source: rows and columns of the source image.
        region: x, y, width, height of the region of interest in the source image.
        rotate: degrees clockwise of the region.
        part: x, y, width, height of what the view shows, in pixels of the rotated region.
        content: where that is in the view; around it the view is padding, which is ignored.
        shape: rows and columns of the view; S x S unless it is tiled.
        size: S, side of the network's input.
        tiling: how the view is cut; None where it is one input.
        mask: ignore mask of the rotated region, bool of any size, True = ignored.
    """

    source: tuple[int, int]
    region: Box
    rotate: int
    part: Box
    content: Box
    shape: tuple[int, int]
    size: int
    tiling: Tiling | None = None
    mask: NDArray[np.bool_] | None = None

    @classmethod
    def of(
        cls,
        source: tuple[int, ...],
        region: Box | None,
        rotate: int,
        fit: Fit,
        tiling: Tiling | None,
        mask: NDArray[np.bool_] | None,
        size: int,
    ) -> Geometry:
        """The geometry of an image; see the attributes."""
        rows, columns = source[:2]
        region = region or (0, 0, columns, rows)
        width, height = region[2:] if rotate in (0, 180) else (region[3], region[2])
        part, content, shape = (0, 0, width, height), (0, 0, size, size), (size, size)
        if tiling is not None:
            scale = size / tiling.tile
            wide, high = max(round(width * scale), 1), max(round(height * scale), 1)
            shape = max(high, size), max(wide, size)
            content = ((shape[1] - wide) // 2, (shape[0] - high) // 2, wide, high)
        elif fit == "crop":
            side = min(width, height)
            part = ((width - side) // 2, (height - side) // 2, side, side)
        elif fit == "pad":
            scale = size / max(width, height)
            wide, high = max(round(width * scale), 1), max(round(height * scale), 1)
            content = ((size - wide) // 2, (size - high) // 2, wide, high)
        return cls((rows, columns), region, rotate, part, content, shape, size, tiling, mask)

    @cached_property
    def ignored(self) -> NDArray[np.bool_] | None:
        """Which pixels of the view are ignored: read-only bool rows x columns, True = ignored, or None."""
        x, y, width, height = self.content
        padded = self.content != (0, 0, self.shape[1], self.shape[0])
        if self.mask is None and not padded:
            return None
        result = np.ones(self.shape, np.bool_)
        result[y : y + height, x : x + width] = (
            False if self.mask is None else fit_mask(self._mask_of_part(self.mask), (height, width))
        )
        result.flags.writeable = False
        return result

    @cached_property
    def inspected(self) -> int:
        """Number of pixels of the view that are not ignored."""
        rows, columns = self.shape
        return rows * columns - (0 if self.ignored is None else int(np.count_nonzero(self.ignored)))

    @property
    def memory_mb(self) -> float:
        """MiB of an image's pixels, its view, its joined map and, of a coarse pass, the enlarged map."""
        rows, columns = self.shape
        maps = 4 * (2 if self.layout.coarse else 1)
        return (3 * self.source[0] * self.source[1] + (3 + maps) * rows * columns) / 2**20

    def _mask_of_part(self, mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """The pixels of a mask of the rotated region that the view shows."""
        px, py, pw, ph = self.part
        width, height = self._region_size
        if (pw, ph) == (width, height):
            return mask
        left, right = _span(px, pw, width, mask.shape[1])
        top, bottom = _span(py, ph, height, mask.shape[0])
        return mask[top:bottom, left:right]

    @cached_property
    def layout(self) -> Layout:
        """Where the tiles are."""
        rows, columns = self.shape
        if self.tiling is None:
            return Layout(self.shape, self.size, (0,), (0,), ignored=self.ignored)
        scale = self.size / self.tiling.tile
        overlap = round(self.tiling.overlap * scale)
        return Layout(
            self.shape,
            self.size,
            starts(rows, self.size, overlap),
            starts(columns, self.size, overlap),
            overlap,
            self.tiling,
            self.ignored,
            margin=min(round(self.tiling.margin * scale), overlap // 2),
        )

    @property
    def is_whole(self) -> bool:
        """Whether the map covers the source image as a whole, unturned, and nothing else."""
        rows, columns = self.source
        whole = (0, 0, columns, rows)
        return (
            self.rotate == 0
            and self.region == whole
            and self.part == whole
            and self.content == (0, 0, self.shape[1], self.shape[0])
        )

    def resized(self, rows: int, columns: int) -> Geometry:
        """The geometry between the same map and the source image at another size, for drawing."""
        if (rows, columns) == self.source:
            return self
        region = scaled_box(self.region, self.source, (rows, columns))
        old, new = self._region_size, region[2:] if self.rotate in (0, 180) else (region[3], region[2])
        part = scaled_box(self.part, old[::-1], new[::-1])
        return replace(self, source=(rows, columns), region=region, part=part)

    @property
    def _region_size(self) -> tuple[int, int]:
        """Width and height of the rotated region."""
        width, height = self.region[2:]
        return (width, height) if self.rotate in (0, 180) else (height, width)

    @property
    def cropped(self) -> float:
        """The share of the region of interest that the view does not show, 0..1."""
        return 1 - self.part[2] * self.part[3] / (self.region[2] * self.region[3])

    @property
    def source_pixels(self) -> float:
        """How many pixels of the source image a pixel of the map covers."""
        return self.part[2] * self.part[3] / (self.content[2] * self.content[3])

    @cached_property
    def source_rows(self) -> tuple[int, NDArray[np.float64]]:
        """Along which axis of the map the rows of the source image go, and the row at each of its pixels."""
        axis = 0 if self.rotate in (0, 180) else 1
        x_or_y = 1 - axis
        length, shown = self.content[x_or_y + 2], self.part[x_or_y + 2]
        place = (np.arange(self.shape[axis]) + 0.5 - self.content[x_or_y]) * shown / length
        place += self.part[x_or_y]
        if self.rotate in (90, 180):
            place = self.region[3] - place
        return axis, self.region[1] + place

    def box_to_source(self, x: int, y: int, width: int, height: int) -> Box:
        """Map a box of the map to the smallest box of source pixels that covers it.

        Args:
            x, y, width, height: the box, in pixels of the map; what is padding is cut off.

        Returns:
            x, y, width, height in pixels of the source image.
        """
        left, right = self._to_region(x, width, 0)
        top, bottom = self._to_region(y, height, 1)
        across, down = self._region_size
        if self.rotate == 90:
            left, top, right, bottom = top, across - right, bottom, across - left
        elif self.rotate == 180:
            left, top, right, bottom = across - right, down - bottom, across - left, down - top
        elif self.rotate == 270:
            left, top, right, bottom = down - bottom, left, down - top, right
        return self.region[0] + left, self.region[1] + top, right - left, bottom - top

    def _to_region(self, start: int, length: int, axis: int) -> tuple[int, int]:
        """First pixel and end of a span of the map, in pixels of the rotated region, along x (0) or y (1)."""
        offset, wide = self.content[axis], self.content[axis + 2]
        first, end = min(max(start - offset, 0), wide), min(max(start + length - offset, 0), wide)
        # Whole numbers throughout: floor of the near edge, ceiling of the far one.
        shown = self.part[axis + 2]
        return self.part[axis] + first * shown // wide, self.part[axis] - (-end * shown // wide)

    def map_to_source(self, anomaly_map: NDArray[np.float32]) -> NDArray[np.float32]:
        """Lay a map over the source image: float32 rows x columns -> float32 H x W, 0 outside the region.

        Where the source image is smaller than the map, as after ``resized``, peaks stay; see ``fit_map``.
        """
        x, y, width, height = self.content
        px, py, pw, ph = self.part
        across, down = self._region_size
        shown = fit_map(anomaly_map[y : y + height, x : x + width], pw, ph)
        rotated = np.zeros((down, across), np.float32)
        rotated[py : py + ph, px : px + pw] = shown
        upright = cv2.rotate(rotated, _BACK[self.rotate]) if self.rotate else rotated
        result = np.zeros(self.source, np.float32)
        left, top, wide, high = self.region
        result[top : top + high, left : left + wide] = upright
        return result


def scaled_box(box: Box, old: tuple[int, int], new: tuple[int, int]) -> Box:
    """A box of an image with ``old`` rows and columns in the same image with ``new`` ones; not empty."""
    down, across = new[0] / old[0], new[1] / old[1]
    x, y, width, height = box
    left, top = min(int(x * across), new[1] - 1), min(int(y * down), new[0] - 1)
    right, bottom = round((x + width) * across), round((y + height) * down)
    return left, top, max(min(right, new[1]) - left, 1), max(min(bottom, new[0]) - top, 1)


def turned(image: NDArray[np.uint8], degrees: int) -> NDArray[np.uint8]:
    """Rotate an image clockwise by 0, 90, 180 or 270 degrees; 0 returns the image itself."""
    return image if degrees == 0 else np.asarray(cv2.rotate(image, _CLOCKWISE[degrees]), np.uint8)


def _span(start: int, length: int, whole: int, pixels: int) -> tuple[int, int]:
    """A span of a region in pixels of its mask, at least one."""
    first = min(start * pixels // whole, pixels - 1)
    return first, max(-(-(start + length) * pixels // whole), first + 1)
