"""Good images as other cameras would show them, for choosing a score that does not reject them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.spread import spread
from dmdd_edge.train.synthesis import nuisances

Image = NDArray[np.uint8]

#: Most images that are changed, each in every way, and the least that remain of them where they are large.
_MOST, _LEAST = 32, 8
#: Side in pixels above which there are fewer.
_SIDE = 320
_SEED = 1


def as_other_cameras_see(normals: Image) -> Image:
    """Good images as other cameras would show them: they are good too, and the score should not reject them.

    Args:
        normals: uint8 n x S x S x 3 BGR; at most 32 of them, evenly spread, are changed, of large ones fewer.

    Returns:
        each of them in every way of ``nuisances.OF_CAMERAS``, uint8 m x S x S x 3.
    """
    taken = normals[spread(len(normals), fewer(_MOST, normals.shape[1], _LEAST))]
    return np.concatenate(
        [nuisances.changed(taken, kind, much, _SEED) for kind, much in nuisances.OF_CAMERAS]
    )


def images_changed(normals: int, size: int) -> int:
    """Number of ``as_other_cameras_see`` of this number of good ones, whose side has ``size`` pixels."""
    return len(nuisances.OF_CAMERAS) * min(normals, fewer(_MOST, size, _LEAST))


def fewer(count: int, size: int, least: int) -> int:
    """How many images of this side there are, so that all together take little memory.

    Args:
        count: of small ones, of 320 px and below.
        size: their side in pixels.
        least: number that remains.
    """
    return max(least, round(count * min(1.0, (_SIDE / size) ** 2)))
