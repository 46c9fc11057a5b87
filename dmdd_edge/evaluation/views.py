"""Images of a tiled category: each is read when it is needed, since a set does not fit into memory."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import read_image
from dmdd_edge.data.place_levels import PlaceLevels
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Layout

#: Changes a view, uint8 rows x columns x 3 BGR; the second argument is its number.
Change = Callable[[NDArray[np.uint8], int], NDArray[np.uint8]]


@dataclass(frozen=True)
class Views:
    """The views of some image files, read when needed; they may differ in size.

    Attributes:
        paths: the files.
        preprocess: makes their views.
        size: S, side of the network's input.
        change: applied to each view; None changes nothing.
        own_levels: files that have other levels of places than ``preprocess``: of an image that gave those,
            the levels of the other ones.
    """

    paths: tuple[Path, ...]
    preprocess: Preprocess
    size: int
    change: Change | None = None
    own_levels: Mapping[Path, PlaceLevels] = field(default_factory=dict, repr=False)

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> NDArray[np.uint8]:
        """A view, uint8 rows x columns x 3 BGR.

        Raises:
            DmddError: the file cannot be read, or the region of interest does not fit it.
        """
        return self.read(index)[0]

    def __iter__(self) -> Iterator[NDArray[np.uint8]]:
        return (self[index] for index in range(len(self)))

    def read(self, index: int) -> tuple[NDArray[np.uint8], Layout]:
        """A view and where its tiles are; errors as for ``[]``."""
        path = self.paths[index]
        image = read_image(path, self.preprocess.bits)
        view = self.preprocess.prepare(image, self.size, str(path))
        layout = self.preprocess.geometry(image.shape, self.size).layout
        if layout.tiling is not None and path in self.own_levels:
            tiling = layout.tiling.model_copy(update={"levels": self.own_levels[path]})
            layout = replace(layout, tiling=tiling)
        return (view if self.change is None else self.change(view, index)), layout

    def taken(self, chosen: Iterable[int]) -> Views:
        """Some of the files, in the order of the numbers; without a change."""
        return replace(self, paths=tuple(self.paths[index] for index in chosen), change=None)

    def changed(self, change: Change) -> Views:
        """The same files with a change, in place of the one before."""
        return replace(self, change=change)

    def prepared_by(self, preprocess: Preprocess) -> Views:
        """The same files, prepared in another way."""
        return replace(self, preprocess=preprocess)


#: Prepared images: uint8 N x S x S x 3 BGR, or the views of a tiled category.
Images: TypeAlias = NDArray[np.uint8] | Views


@dataclass(frozen=True)
class Masks:
    """Masks of views of different sizes, bool rows x columns each; kept compressed, a few KB each."""

    packed: tuple[tuple[tuple[int, int], bytes], ...]

    @classmethod
    def of(cls, masks: Iterable[NDArray[np.bool_]]) -> Masks:
        """Keep masks; no more than one of them is held as it is."""
        return cls(
            tuple(
                ((mask.shape[0], mask.shape[1]), zlib.compress(np.packbits(mask).tobytes(), 1))
                for mask in masks
            )
        )

    def __len__(self) -> int:
        return len(self.packed)

    def __getitem__(self, index: int) -> NDArray[np.bool_]:
        shape, data = self.packed[index]
        bits = np.unpackbits(np.frombuffer(zlib.decompress(data), np.uint8), count=shape[0] * shape[1])
        return bits.view(np.bool_).reshape(shape)

    def __iter__(self) -> Iterator[NDArray[np.bool_]]:
        return (self[index] for index in range(len(self)))


#: Truth of prepared images: bool N x S x S, or masks of different sizes.
Truth: TypeAlias = NDArray[np.bool_] | Masks
#: Anomaly maps: float32 N x S x S, or a sequence that computes each again.
Maps: TypeAlias = NDArray[np.float32] | Sequence[NDArray[np.float32]]
