"""The validation set of a tiled run: whole held-out images, and synthetic damage on them at the tiles' scale.

Damage is made on one place of the network's size, like that of an untiled run, and put back into the view.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets import GOOD, TestImage
from dmdd_edge.data.images import fit_mask, resize
from dmdd_edge.evaluation.test_set import TestSet
from dmdd_edge.evaluation.views import Masks, Views
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.validation.damage import KINDS, Image, Mask
from dmdd_edge.train.validation.images import damage

#: Row and column of a patch in its view, the patch, and what changed in it.
_Patch = tuple[int, int, Image, Mask]


def validation_views(normals: Views, *, seed: int, count: int) -> TestSet:
    """The normal images, then ``count`` damaged ones of each kind.

    Args:
        normals: not trained on.
        seed: the same seed gives the same images.
        count: damaged images of each kind; they start from the normal images in turn.

    Returns:
        a test set whose defect types are the kinds; a kind that is not visible has fewer images, or zero.

    Raises:
        DmddError: a file cannot be read.
    """
    shapes: list[tuple[int, int]] = []
    made: dict[tuple[str, int], tuple[int, _Patch]] = {}
    other = np.empty(0, np.uint8)
    for which, view in enumerate(normals):
        shapes.append((view.shape[0], view.shape[1]))
        part = part_of(view, normals.size)
        for kind in KINDS:
            for number in range(which, count, len(normals)):
                rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), number])
                row, column = place_on(part, normals.size, rng)
                place = np.s_[row : row + normals.size, column : column + normals.size]
                tile = np.ascontiguousarray(view[place])
                other = other if other.size else tile
                found = damage(KINDS[kind], tile, np.ascontiguousarray(part[place]), other, rng)
                if found is not None:
                    made[kind, number] = which, (row, column, *found)
                other = tile
    # By kind, as an untiled run has them.
    damaged = [
        ((kind, number), made[kind, number])
        for kind in KINDS
        for number in range(count)
        if (kind, number) in made
    ]
    patches: list[_Patch | None] = [None] * len(normals)
    patches += [patch for _, (_, patch) in damaged]
    sources = [*range(len(normals)), *(which for _, (which, _) in damaged)]
    kinds = [GOOD] * len(normals) + [kind for (kind, _), _ in damaged]

    def patched(view: NDArray[np.uint8], index: int) -> NDArray[np.uint8]:
        patch = patches[index]
        if patch is None:
            return view
        row, column, pixels, _ = patch
        result = view.copy()
        result[row : row + pixels.shape[0], column : column + pixels.shape[1]] = pixels
        return result

    def masks() -> Iterator[Mask]:
        for which, patch in zip(sources, patches, strict=True):
            mask = np.zeros(shapes[which], np.bool_)
            if patch is not None:
                row, column, _, changed = patch
                mask[row : row + changed.shape[0], column : column + changed.shape[1]] = changed
            yield mask

    items = [TestImage(Path(kind) / f"{number:04d}", kind, None) for number, kind in enumerate(kinds)]
    return TestSet(
        items, normals.taken(sources).changed(patched), Masks.of(masks()), np.ones(len(items), np.bool_)
    )


def part_of(view: Image, size: int) -> Mask:
    """Where the part is, from the whole view at the network's size; everywhere where it fills the image."""
    mask = foreground.masks([resize(view, size)], "auto")[1][0]
    return np.ones(view.shape[:2], np.bool_) if mask is None else fit_mask(mask, view.shape)


def place_on(part: Mask, size: int, rng: np.random.Generator) -> tuple[int, int]:
    """Row and column of a tile about a random place on the part."""
    while True:
        y, x = (int(rng.integers(side)) for side in part.shape)
        if part[y, x]:
            break
    rows, columns = part.shape
    return min(max(y - size // 2, 0), rows - size), min(max(x - size // 2, 0), columns - size)
