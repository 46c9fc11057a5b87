"""What good parts show at each place of the joined map, and the map beside it.

A screw turns from part to part, so the map of a good part has peaks there, and they set a threshold over all
places. Where parts are at one place, each place has its own level: the highest odds m / (1 - m) that good
parts have there. The odds of a map are divided by it, so that a faint defect on plain metal counts as much as
a strong one on a screw. The levels are kept by cells of a few pixels, and a cell has the highest value of its
neighbors too, so that a part may be some pixels beside its place.
"""

from __future__ import annotations

import functools
from typing import Annotated

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, field_validator

from dmdd_edge.data import stored_png
from dmdd_edge.errors import DataError
from dmdd_edge.fields import Sparse

Map = NDArray[np.float32]
Peaks = NDArray[np.uint8]
Side = Annotated[int, Field(ge=1, le=1_000_000)]

#: Side of a cell in pixels of the view. A part may be half of this beside its place, and none of it is above
#: the level of its pixels.
CELL = 8
#: The levels are logarithms of odds, kept in steps of an eighth from the lowest on: of maps from 5e-7 on.
_LOWEST, _STEPS = -14.5, 8
#: A map is kept this far from 0 and 1 before its logarithm is taken.
_CLEAR = 5e-7
#: What messages call the levels.
_NAME = "the stored levels of places"
#: Rows that are leveled at once, so that little memory is needed beyond the map's.
_BAND = 256
#: Most cells along a side and in all, and characters of base64: they are part of a bundle's manifest.
_LARGEST_SIDE, _MOST, _LONGEST = 8192, 3_000_000, 4_100_000


class PlaceLevels(Sparse):
    """The level of each place of a view; immutable, part of ``Tiling``.

    Attributes:
        source: rows and columns of the source images; those of another size cannot be judged.
        images: number of good images that gave the levels.
        cells: logarithm of the highest odds in each cell of ``CELL`` pixels and its neighbors, a PNG in
            base64, one byte a cell.
        coarse: likewise of the enlarged map of the whole image, so that what that map has on good parts does
            not hide what the tiles show. None without a coarse pass; bundles of earlier releases have the
            levels of both maps joined in ``cells``.
    """

    SPARSE = ("coarse",)

    model_config = ConfigDict(frozen=True, extra="forbid")

    source: tuple[Side, Side]
    images: int = Field(ge=1, le=10**9)
    cells: str = Field(repr=False, max_length=_LONGEST)
    coarse: str | None = Field(default=None, repr=False, max_length=_LONGEST)

    @field_validator("cells", "coarse")
    @classmethod
    def _a_png(cls, value: str | None) -> str | None:
        if value is not None and not all(1 <= side <= _LARGEST_SIDE for side in stored_png.size_of(value)):
            raise ValueError(f"more than {_LARGEST_SIDE} cells along a side")
        return value

    @classmethod
    def of(cls, peaks: Peaks, source: tuple[int, int], coarse: Peaks | None = None) -> PlaceLevels:
        """The levels of good images.

        Args:
            peaks: ``cell_peaks`` of the joined maps of their tiles, uint8 n x rows x columns; n at least 1.
            source: rows and columns of the images.
            coarse: likewise of the enlarged maps of the whole images at their gain; None without them.
        """
        cells = stored_png.to_text(highest_around(peaks))
        of_coarse = None if coarse is None else stored_png.to_text(highest_around(coarse))
        return cls(source=source, images=len(peaks), cells=cells, coarse=of_coarse)

    @staticmethod
    def fit(shape: tuple[int, int]) -> bool:
        """Whether levels of a view of these rows and columns are small enough to be kept."""
        down, across = -(-shape[0] // CELL), -(-shape[1] // CELL)
        return max(down, across) <= _LARGEST_SIDE and down * across <= _MOST

    def require(self, source: tuple[int, ...], name: str | None = None) -> None:
        """Raise DataError where an image has another shape than those that gave the levels."""
        if self.source == tuple(source[:2]):
            return
        (rows, columns), (height, width) = self.source, source[:2]
        raise DataError(
            ("" if name is None else f"{name}: ")
            + f"an image of {width} x {height} pixels cannot be compared with good parts at the same place, "
            f"whose images have {columns} x {rows}.",
            "Take images of that size, with the part at the same place, or train with --score map.",
        )

    def beside(
        self, anomaly_map: Map, shape: tuple[int, int], row: int = 0, column: int = 0, *, coarse: bool = False
    ) -> Map:
        """A map beside the levels: the odds of each place divided by the odds of good parts there.

        Args:
            anomaly_map: float32, 0..1, the view or a part of it; changed.
            shape: rows and columns of the view.
            row, column: first row and column of the part.
            coarse: beside the levels of the map of the whole image, which must be there.

        Returns:
            the same array: 0.5 is as high as the good parts; the order at one place stays.

        Raises:
            BundleError: the levels are damaged, or of a view of another shape.
        """
        cells = self.coarse if coarse else self.cells
        assert cells is not None
        levels = _decoded(cells, (-(-shape[0] // CELL), -(-shape[1] // CELL)))
        rows, columns = anomaly_map.shape
        across = _between(levels.T, np.arange(column, column + columns)).T
        for top in range(0, rows, _BAND):
            part = anomaly_map[top : top + _BAND]
            odds = np.exp(-_between(across, np.arange(row + top, row + top + len(part))))
            odds *= part
            np.subtract(1, part, out=part)
            np.maximum(part, _CLEAR, out=part)  # a level has no odds beyond; of 1 the odds would be infinite
            part += odds
            np.divide(odds, part, out=part)
        return anomaly_map


def highest_around(peaks: Peaks) -> Peaks:
    """The highest of n x rows x columns cells over the n, and over a cell's neighbors."""
    return np.asarray(cv2.dilate(peaks.max(axis=0), np.ones((3, 3), np.uint8)), np.uint8)


def cell_peaks(joined: Map) -> Peaks:
    """The highest value of a joined map in each cell, as the level that it alone would give.

    Args:
        joined: float32 rows x columns of the view, 0..1, without levels.

    Returns:
        uint8, a ``CELL``-th of each side, rounded up: logarithms of odds, in steps.
    """
    rows, columns = joined.shape
    down, across = -(-rows // CELL), -(-columns // CELL)
    padded = joined
    if (down * CELL, across * CELL) != (rows, columns):
        padded = np.zeros((down * CELL, across * CELL), np.float32)
        padded[:rows, :columns] = joined
    peaks = padded.reshape(down, CELL, across, CELL).max(axis=(1, 3)).astype(np.float64)
    peaks = np.clip(peaks, _CLEAR, 1 - _CLEAR)
    # Rounded up, so that no good part is above its own level.
    steps = np.ceil((np.log(peaks / (1 - peaks)) - _LOWEST) * _STEPS)
    return np.asarray(np.clip(steps, 0, 255), np.uint8)


def log_odds(peaks: Peaks) -> Map:
    """The logarithms of the odds that ``cell_peaks`` or the stored levels stand for, float32."""
    return np.asarray(peaks / np.float32(_STEPS) + np.float32(_LOWEST), np.float32)


def _between(cells: Map, pixels: NDArray[np.intp]) -> Map:
    """Values at pixels along the first axis, from those at the centers of the cells, linear between them."""
    place = np.clip((pixels + 0.5) / CELL - 0.5, 0, len(cells) - 1)
    below = place.astype(np.intp)
    share = (place - below).astype(np.float32)[:, None]
    above = np.minimum(below + 1, len(cells) - 1)
    return np.asarray(cells[below] * (1 - share) + cells[above] * share, np.float32)


@functools.lru_cache(maxsize=8)
def _decoded(text: str, shape: tuple[int, int]) -> Map:
    """The log-odds of each cell, read-only."""
    cells = stored_png.from_text(text, _NAME)
    if cells.shape != shape:
        raise stored_png.undecodable(_NAME)
    levels = log_odds(cells)
    levels.flags.writeable = False
    return levels
