"""Tiles: how a large image is cut for a network of one size, and how the maps are joined again.

One place for training, evaluation, export, calibration, bench and the runtime. A source image becomes a
*view* first: cropped, rotated, and scaled so that a tile has the network's size. The view is cut into tiles
that overlap; their maps are joined with weights that fall to a tile's edge, so that no border is seen and a
defect on one is one region. The outermost pixels of a tile, where the network sees too little of what is
around, count only where no other tile shows the place. What is decided on is the joined map: its threshold is
the order statistic of whole images, so that the false-alarm rate is that of parts and not of tiles.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

import cv2
import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator

from dmdd_edge.data.images import resize
from dmdd_edge.data.place_levels import PlaceLevels
from dmdd_edge.fields import Sparse

#: Number of a map's largest values whose mean is its peak; in a joined map, in pixels of the view.
PEAK_PIXELS = 100

#: Values among which ``top_mean`` first takes only the largest.
_PART = 512

#: Weight of a pixel of a tile's margin: nothing beside that of another tile, and all where no other is.
_LEAST = 1e-9

#: What the score of a tiled image is: the peak of the joined map, or the highest score of its tiles.
ScoreOf = Literal["map", "tiles"]


class Tiling(Sparse):
    """How the images of a category are cut into tiles; immutable, part of ``Preprocess``.

    Attributes:
        tile: side of a tile in pixels of the source image.
        overlap: pixels of the source image by which adjacent tiles overlap at least; below half a tile.
        margin: pixels of the source image along a tile's edges that count only where no other tile shows the
            place; at most half of the overlap. 0 as in earlier releases, whose bundles do not give it.
        coarse: evaluate the whole image as well, scaled down to one tile; for large, bent and missing things.
        coarse_gain: the factor on the odds m / (1 - m) of the coarse map that brings good parts to the level
            of the tiles' map. Measured at the end of a training.
        coarse_score_gain: likewise the factor on the odds of the score that the network gives the whole
            image; the higher of that and the score without it decides. A bent or stained part raises it much
            more than any value of the map. None leaves it out, unless the score is that of the tiles.
        score: see ``ScoreOf``.
        levels: what good parts show at each place; the map is beside them, that of the tiles and that of the
            whole image each beside its own. None where parts are anywhere, so that no place has a level.
    """

    SPARSE = ("margin", "coarse", "coarse_gain", "coarse_score_gain", "score", "levels")

    model_config = ConfigDict(frozen=True, extra="forbid")

    tile: int = Field(ge=32, le=8192)
    overlap: int = Field(ge=0, le=4096)
    margin: int = Field(default=0, ge=0, le=2048)
    coarse: bool = False
    coarse_gain: float = Field(default=1.0, gt=0, le=1e6, allow_inf_nan=False)
    coarse_score_gain: float | None = Field(default=None, gt=0, le=1e6, allow_inf_nan=False)
    score: ScoreOf = "map"
    levels: PlaceLevels | None = None

    def describe(self) -> str:
        """The tiling for a person: sizes in pixels of the source image, and what the score is of."""
        whole = f", and the whole image (gain {self.coarse_gain:.4g})" if self.coarse else ""
        score = "peak of the joined map" if self.score == "map" else "highest of the tiles"
        if self.levels is not None:
            score += f" beside {self.levels.images} good images at the same place"
        return f"{self.tile} px, overlapping by {self.overlap} px{whole}; score: {score}"

    @model_validator(mode="after")
    def _less_than_half(self) -> Tiling:
        if 2 * self.overlap >= self.tile:
            raise ValueError("the overlap must be less than half of a tile")
        if 2 * self.margin > self.overlap:
            raise ValueError("the margin must be at most half of the overlap")
        if self.levels is not None and self.score != "map":
            raise ValueError("the score of the tiles has no place, and levels act on the map")
        return self


@dataclass(frozen=True)
class Layout:
    """Where the tiles of one view are, and how their maps become one; made by ``Geometry.layout``.

    A view that is not tiled has one tile, which is the view itself: cutting and joining then change nothing.

    Attributes:
        shape: rows and columns of the view.
        size: S, side of the network's input.
        rows, columns: first row of each row of tiles, first column of each column, ascending.
        overlap: pixels of the view over which the weights rise from the edge of a tile.
        tiling: None where the view is not tiled.
        ignored: bool rows x columns of the view, True = ignored; None ignores nothing. A tile that is
            ignored as a whole is left out.
        nearest: row and column of the view; the tiles come in the order of their distance from it. None is
            row by row.
        margin: pixels of the view from the edge of a tile at which the weights begin to rise; pixels of a
            margin count where there are no others.
    """

    shape: tuple[int, int]
    size: int
    rows: tuple[int, ...]
    columns: tuple[int, ...]
    overlap: int = 0
    tiling: Tiling | None = None
    ignored: NDArray[np.bool_] | None = None
    nearest: tuple[float, float] | None = None
    margin: int = 0

    @cached_property
    def places(self) -> tuple[tuple[int, int], ...]:
        """Row and column of the upper left pixel of each tile that is judged, in the order of the inputs."""
        size, ignored = self.size, self.ignored
        places = tuple(
            (row, column)
            for row in self.rows
            for column in self.columns
            if ignored is None
            or self.tiling is None
            or not ignored[row : row + size, column : column + size].all()
        )
        if self.nearest is None:
            return places
        y, x = self.nearest[0] - size / 2, self.nearest[1] - size / 2
        return tuple(sorted(places, key=lambda place: math.hypot(place[0] - y, place[1] - x)))

    @property
    def coarse(self) -> bool:
        """Whether the whole view is judged as well, as the last tile."""
        return self.tiling is not None and self.tiling.coarse and len(self.rows) * len(self.columns) > 1

    @property
    def count(self) -> int:
        """Number of inputs of the network for this view, with the coarse one."""
        return len(self.places) + self.coarse

    @cached_property
    def peak_pixels(self) -> int:
        """Of how many values of the joined map the peak is the mean.

        Never more than are inspected, as of a frame much smaller than a tile: with the zeros of what is
        ignored among them, no such frame could be anomalous.
        """
        inspected = self.shape[0] * self.shape[1]
        if self.ignored is not None:
            inspected -= int(np.count_nonzero(self.ignored))
        return max(min(PEAK_PIXELS, inspected), 1)

    def cut(self, view: NDArray[np.uint8], start: int = 0, stop: int | None = None) -> NDArray[np.uint8]:
        """Cut a view into inputs of the network.

        Args:
            view: uint8 rows x columns x 3 BGR, as ``Preprocess.prepare`` makes it.
            start, stop: the first input and the one after the last; None is the end. The coarse one is last.

        Returns:
            contiguous uint8 n x S x S x 3; of a view that is not tiled, a view of the same memory.
        """
        if self.tiling is None:
            return view[None]
        size = self.size
        wanted = range(self.count)[start:stop]
        tiles = np.empty((len(wanted), size, size, 3), np.uint8)
        for index, number in enumerate(wanted):
            if number == len(self.places):
                tiles[index] = resize(view, size)
            else:
                row, column = self.places[number]
                tiles[index] = view[row : row + size, column : column + size]
        return tiles

    def joining(self) -> Joining:
        """A joining of this view's maps."""
        return Joining(self)

    def decided_on(
        self, joined: NDArray[np.float32], row: int = 0, column: int = 0, *, coarse: bool = False
    ) -> NDArray[np.float32]:
        """What is decided on, of the tiles' joined map: beside the levels of its places, and 0 where ignored.

        Args:
            joined: float32, 0..1, the view or a part of it; changed.
            row, column: first row and column of the part.
            coarse: of the enlarged map of the whole image, whose levels must be there.

        Returns:
            the same array.
        """
        if self.tiling is not None and self.tiling.levels is not None:
            joined = self.tiling.levels.beside(joined, self.shape, row, column, coarse=coarse)
        if self.ignored is not None:
            rows, columns = joined.shape
            joined[self.ignored[row : row + rows, column : column + columns]] = 0
        return joined

    def join(
        self, maps: NDArray[np.float32], scores: NDArray[np.float32]
    ) -> tuple[NDArray[np.float32], float]:
        """Join the maps of all inputs at once; see ``Joining``."""
        joining = self.joining()
        joining.add(maps, scores)
        return joining.result()

    @cached_property
    def weights(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Weights of each row of tiles along its rows, n x S, and of each column; they add up to 1."""
        rows, columns = (
            _weights(first, self.size, length, self.overlap, self.margin)
            for first, length in zip((self.rows, self.columns), self.shape, strict=True)
        )
        return rows, columns

    def order(self) -> Iterator[tuple[int, int, int, int]]:
        """Of each place: its numbers among the rows and the columns of tiles, then its row and column."""
        number_of_row = {row: index for index, row in enumerate(self.rows)}
        number_of_column = {column: index for index, column in enumerate(self.columns)}
        for row, column in self.places:
            yield number_of_row[row], number_of_column[column], row, column


class Joining:
    """Joins the maps of one view, tile by tile, so that no more than one batch is held.

    Args:
        layout: of the view.
    """

    def __init__(self, layout: Layout) -> None:
        self._layout = layout
        self._map = np.zeros(layout.shape, np.float32)
        self._scores: list[float] = []
        self._places = layout.order()
        self._coarse: tuple[NDArray[np.float32], float] | None = None
        self._finite = True

    @property
    def so_far(self) -> NDArray[np.float32]:
        """The map of the tiles that were added, before ``Layout.decided_on``.

        The other tiles and the coarse map can only raise its values.
        """
        return self._map

    def add(self, maps: NDArray[np.float32], scores: NDArray[np.float32]) -> None:
        """Add the next inputs' outputs, in the order of ``Layout.cut``.

        Args:
            maps: float32 n x S x S, 0..1.
            scores: float32 n, 0..1.
        """
        layout = self._layout
        if layout.tiling is None:
            self._map, self._scores = maps[0], [float(scores[0])]
            return
        by_row, by_column = layout.weights
        size = layout.size
        for item, score in zip(maps, scores, strict=True):
            # Later steps could lose it: where it is ignored, and where the score is not that of the tiles.
            self._finite = self._finite and math.isfinite(score) and math.isfinite(item.max())
            place = next(self._places, None)
            if place is None:
                self._coarse = item, float(score)
                continue
            tile_row, tile_column, row, column = place
            target = self._map[row : row + size, column : column + size]
            target += item * by_row[tile_row][:, None] * by_column[tile_column]
            self._scores.append(float(score))

    def result(self) -> tuple[NDArray[np.float32], float]:
        """The joined map, float32 rows x columns of the view, 0..1, 0 where ignored, and the score.

        The score is not-a-number where an input's map or score is not finite.

        Of a view that is not tiled: the map of the network itself and its score.
        """
        layout, tiling = self._layout, self._layout.tiling
        if tiling is None:
            return self._map, self._scores[0]
        joined, of_coarse = self._map, 0.0
        if self._coarse is None:
            joined = layout.decided_on(joined)
        else:
            coarse, of_coarse = self._coarse
            of_coarse = _leveled(of_coarse, tiling)
            large = enlarged(coarse, layout)
            if tiling.levels is not None and tiling.levels.coarse is not None:
                joined = layout.decided_on(joined)
                np.maximum(joined, layout.decided_on(large, coarse=True), out=joined)
            else:
                joined = layout.decided_on(np.maximum(joined, large, out=joined))
        if not self._finite:
            return joined, math.nan
        score = (
            max(self._scores, default=0.0)
            if tiling.score == "tiles"
            else top_mean(joined, layout.peak_pixels)
        )
        return joined, max(score, of_coarse)


def enlarged(coarse: NDArray[np.float32], layout: Layout) -> NDArray[np.float32]:
    """The map of the whole image, float32 S x S, as large as the view and at its gain."""
    assert layout.tiling is not None
    large = cv2.resize(coarse, layout.shape[::-1], interpolation=cv2.INTER_LINEAR)
    return with_gain(np.asarray(large, np.float32), layout.tiling.coarse_gain)


def _leveled(score: float, tiling: Tiling) -> float:
    """The score of the whole image at the level of the score without it; 0 where it does not count."""
    gain = tiling.coarse_score_gain
    if gain is None:
        return score if tiling.score == "tiles" else 0.0
    return float(with_gain(np.array([score], np.float32), gain)[0])


def with_gain(anomaly_map: NDArray[np.float32], gain: float) -> NDArray[np.float32]:
    """Multiply the odds m / (1 - m) of a map, float32 in 0..1, by a factor; the order of values stays."""
    if gain == 1.0:
        return anomaly_map
    scaled = anomaly_map * np.float32(gain)
    return scaled / (scaled + (1 - anomaly_map))


def top_mean(anomaly_map: NDArray[np.float32], count: int = PEAK_PIXELS) -> float:
    """Mean of a map's largest values, not-a-number where the map has one.

    Args:
        anomaly_map: float32 of any shape, 0..1.
        count: of values; at most all.
    """
    values = anomaly_map.ravel()
    count = min(count, values.size)
    # The largest of many parts bound the value wanted from below, so that few values are sorted.
    parts = values[: values.size // _PART * _PART].reshape(-1, _PART).max(axis=1)
    if len(parts) >= count:
        values = values[values >= np.partition(parts, len(parts) - count)[-count]]
        if values.size < count:  # a comparison with not-a-number is false
            return math.nan
    return float(np.partition(values, values.size - count)[-count:].mean())


def starts(length: int, size: int, overlap: int) -> tuple[int, ...]:
    """First pixels of as few tiles as cover a length, evenly spread, the last one at the end.

    Args:
        length: in pixels, at least ``size``.
        size: of a tile.
        overlap: smallest overlap of two tiles, less than ``size``.
    """
    count = 1 if length <= size else math.ceil((length - overlap) / (size - overlap))
    return tuple(round(index * (length - size) / max(count - 1, 1)) for index in range(count))


def _weights(
    first: tuple[int, ...], size: int, length: int, overlap: int, margin: int
) -> NDArray[np.float32]:
    """A weight for each pixel of each tile along one axis; over the tiles they add up to 1."""
    from_edge = np.minimum(np.arange(size), np.arange(size)[::-1]) + 0.5
    ramp = np.clip((from_edge - margin) / max(overlap - 2 * margin, 1), _LEAST, 1.0)
    total = np.zeros(length)
    for start in first:
        total[start : start + size] += ramp
    return np.stack([ramp / total[start : start + size] for start in first]).astype(np.float32)
