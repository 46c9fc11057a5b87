"""The images of INT8 for a run with tiles: tiles choose, whole images decide.

Each tile of the network is an image like any other, so ranges and places come from tiles, and from whole
images scaled down where the detector looks at those too. What counts is the joined map and the score of the
whole image; these decide at the gate.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import resize
from dmdd_edge.data.spread import spread
from dmdd_edge.errors import DataError
from dmdd_edge.evaluation.test_set import TestSet
from dmdd_edge.evaluation.views import Views
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.synthesis.foreground import Mask, Method
from dmdd_edge.train.tile_places import draw_places, part_of_tile
from dmdd_edge.train.validation.images import validation_set
from dmdd_edge.train.validation.whole_images import validation_views


def tile_set(views: Views, most: int, method: Method, *, seed: int, count: int) -> TestSet:
    """Tiles of some images, and damage made on them.

    Args:
        views: of good images.
        most: tiles at most; spread evenly over the images, at random places of each.
        method: how the part is found.
        seed: the same seed gives the same tiles.
        count: damaged tiles of each kind.

    Raises:
        DataError: there are no images.
    """
    tiles: list[NDArray[np.uint8]] = []
    parts: list[Mask | None] = []
    numbers = spread(len(views), most)
    for done, number in enumerate(numbers):
        view, layout = views.read(number)
        whole = resize(view, views.size)
        part = foreground.masks([whole], method)[1][0]
        each = most * (done + 1) // len(numbers) - most * done // len(numbers)
        if layout.coarse and each > 1:
            tiles.append(whole)
            parts.append(part)
            each -= 1
        rng = np.random.default_rng([seed, number])
        for place in draw_places(layout, part, each, rng):
            row, column = place
            tiles.append(view[row : row + views.size, column : column + views.size].copy())
            parts.append(part_of_tile(layout, part, place))
    if not tiles:
        raise DataError("There are no images for INT8.", "Train with held-out images.")
    return validation_set(np.stack(tiles), parts, seed=seed, count=count)


def whole_set(views: Views, most: int, *, seed: int, count: int) -> TestSet:
    """Some whole images, and damage made on them at the scale of the tiles; see ``validation_views``."""
    return validation_views(views.taken(spread(len(views), most)), seed=seed, count=count)
