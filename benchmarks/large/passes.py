"""Images through a run's network; the tiles' maps are kept, so that joining is measured without it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.geometry import Geometry
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.evaluation.tiled import TILE_BATCH
from large.sets import Item, Mask

Maps = NDArray[np.float32]
Predict = Callable[[NDArray[np.uint8]], tuple[Maps, Maps]]


@dataclass(frozen=True)
class Passed:
    """What the network gave for one image.

    Attributes:
        name, defect, held_out: of the item.
        geometry: of the image.
        maps: float32 n x S x S, the coarse one last if there is one.
        scores: float32 n.
        mask: ground truth, bool H x W.
        seconds: processor time of preparation and network.
    """

    name: str
    defect: str
    held_out: bool
    geometry: Geometry
    maps: Maps
    scores: Maps
    mask: Mask
    seconds: float

    def joined(self, *, overlap: int | None = None, **changes: Any) -> tuple[Maps, float]:
        """The joined map and the score of another tiling at the same places; the map is of the view.

        Args:
            overlap: pixels of the source over which the weights rise, the margin included; None as it was
                trained.
            changes: fields of ``Tiling`` besides tile and overlap; the others as they were trained.
        """
        layout = self.geometry.layout
        tiling = layout.tiling
        if tiling is None:
            return layout.join(self.maps, self.scores)
        wide = layout.overlap if overlap is None else round(overlap * layout.size / tiling.tile)
        margin = min(layout.margin, wide // 2)
        other = replace(layout, overlap=wide, margin=margin, tiling=tiling.model_copy(update=changes))
        count = other.count
        return other.join(self.maps[:count], self.scores[:count])


def passed(
    predict: Predict, preprocess: Preprocess, size: int, item: Item, kept: Path | None = None
) -> Passed:
    """One image through the network, or as it is kept in a file from an earlier run.

    Args:
        predict: the network.
        preprocess: of the run, with its tiling.
        size: S.
        item: the image.
        kept: file that keeps the maps; None keeps nothing.
    """
    if kept is not None and kept.exists():
        with np.load(kept) as stored:
            shape = tuple(int(side) for side in stored["shape"])
            mask = np.unpackbits(stored["mask"], count=shape[0] * shape[1]).reshape(shape).astype(np.bool_)
            return Passed(
                item.name,
                item.defect,
                item.held_out,
                preprocess.geometry(shape, size),
                stored["maps"],
                stored["scores"],
                mask,
                float(stored["seconds"]),
            )
    image, mask = item.make()
    began = time.process_time()
    geometry = preprocess.geometry(image.shape, size)
    view, layout = preprocess.prepare(image, size), geometry.layout
    parts = [
        predict(layout.cut(view, start, start + TILE_BATCH)) for start in range(0, layout.count, TILE_BATCH)
    ]
    maps, scores = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
    seconds = time.process_time() - began
    if kept is not None:
        kept.parent.mkdir(parents=True, exist_ok=True)
        draft = kept.with_suffix(".part")
        with draft.open("wb") as file:
            np.savez(
                file,
                shape=np.array(mask.shape),
                maps=maps,
                scores=scores,
                mask=np.packbits(mask),
                seconds=seconds,
            )
        draft.replace(kept)
    return Passed(item.name, item.defect, item.held_out, geometry, maps, scores, mask, seconds)


def all_passed(
    predict: Predict,
    preprocess: Preprocess,
    size: int,
    items: Sequence[Item],
    folder: Path,
) -> Iterator[Passed]:
    """Images, one at a time; a line of progress for every tenth that is new."""
    for done, item in enumerate(items, start=1):
        kept = folder / f"{item.name}.npz"
        new = not kept.exists()
        yield passed(predict, preprocess, size, item, kept)
        if new and (done % 10 == 0 or done == len(items)):
            print(f"{folder.name}: {done} of {len(items)} images", flush=True)


def without_tiles(preprocess: Preprocess) -> Preprocess:
    """The same preparation with the whole image as one input."""
    return preprocess.model_copy(update={"tiling": None})
