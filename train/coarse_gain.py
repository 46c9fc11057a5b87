"""The levels of the whole image's map and score beside those of the tiles, on good images.

The network gives good parts another level at the scale of the whole image than at that of the tiles. The
joined map is the maximum of both, so the one with the higher level on good parts would set the threshold
alone. The gain is the factor on the odds m / (1 - m) that gives both the same level. So it is with the score
that the network gives the whole image, which a bent part raises more than the map. A level is the mean plus
1.3 standard deviations, over held-out good images, of the logarithm of the odds of the map's peak: about what
one good part of ten exceeds, so that both maps have the same share of the false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import read_image, resize
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import top_mean
from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.evaluation.tiled import TILE_BATCH, infer_tiles
from dmdd_edge.evaluation.views import Views

#: Held-out images that are measured at most; trained ones where none are held out.
MOST_IMAGES = 40
#: Standard deviations of a level above its mean.
_ABOVE = 1.3
#: The peak of a map is kept this far from 0 and 1.
_CLEAR = 1e-6
#: Bounds of the gain; beyond them one of the maps says nothing on good parts.
_LEAST, _MOST = 1e-3, 1e3


def gain_of(fine: Sequence[float], coarse: Sequence[float]) -> float:
    """The factor on the odds of the coarse map that gives both the same level on good images.

    Args:
        fine: peak of each image's joined map of the tiles alone, 0..1; at least one image.
        coarse: likewise of the map of the whole image, enlarged to the same size.
    """
    return min(max(math.exp(_level(fine) - _level(coarse)), _LEAST), _MOST)


def _level(peaks: Sequence[float]) -> float:
    values = np.clip(np.asarray(peaks, np.float64), _CLEAR, 1 - _CLEAR)
    logs = np.log(values / (1 - values))
    return float(logs.mean() + (_ABOVE * logs.std(ddof=1) if len(logs) > 1 else 0.0))


def measure_gain(
    predict: Predictor,
    preprocess: Preprocess,
    size: int,
    paths: Sequence[Path],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[float, float] | None:
    """Measure the gains on good images, read one by one.

    Args:
        predict: the trained network, on tiles.
        preprocess: with a tiling.
        size: S, side of the network's input.
        paths: good images, best not trained on; at most ``MOST_IMAGES``, evenly spread, are used.
        progress: called with the images done and their count.

    Returns:
        the gain of the map and that of the score; None where no image has more than one tile.
    """
    chosen = [paths[i] for i in np.unique(np.linspace(0, len(paths) - 1, MOST_IMAGES).round().astype(int))]
    measured: list[tuple[float, float, float, float]] = []
    for done, path in enumerate(chosen):
        peaks = _peaks(predict, read_image(path, preprocess.bits), preprocess, size)
        if peaks is not None:
            measured.append(peaks)
        progress(done + 1, len(chosen))
    if not measured:
        return None
    fine, coarse, score, coarse_score = (list(column) for column in zip(*measured, strict=True))
    return gain_of(fine, coarse), gain_of(score, coarse_score)


def measure_score_gain(
    predict: Predictor, views: Views, progress: Callable[[int, int], None] = lambda done, total: None
) -> float:
    """The gain of the whole image's score where the joined map is beside the levels of its places.

    Args:
        predict: the trained network, on tiles.
        views: good images, with a coarse pass and levels that they did not give.
        progress: called with the images done and their count.
    """
    scores, coarse_scores = [], []
    for index in range(len(views)):
        view, layout = views.read(index)
        assert layout.tiling is not None
        of_map = layout.tiling.model_copy(update={"coarse_score_gain": None})
        scores.append(infer_tiles(predict, view, replace(layout, tiling=of_map), TILE_BATCH)[1])
        coarse_scores.append(float(predict(resize(view, views.size)[None])[1][0]))
        progress(index + 1, len(views))
    return gain_of(scores, coarse_scores)


def _peaks(
    predict: Predictor, image: NDArray[np.uint8], preprocess: Preprocess, size: int
) -> tuple[float, float, float, float] | None:
    """Peaks of the tiles' joined map and of the enlarged map of the whole image, and the scores of both.

    None where the image is a single tile.
    """
    assert preprocess.tiling is not None
    view = preprocess.prepare(image, size)
    tiles_alone = preprocess.tiling.model_copy(update={"coarse": False})
    layout = preprocess.model_copy(update={"tiling": tiles_alone}).geometry(image.shape, size).layout
    if len(layout.places) < 2:
        return None
    fine, score = infer_tiles(predict, view, layout, TILE_BATCH)
    small, coarse_score = predict(resize(view, size)[None])
    coarse = np.asarray(cv2.resize(small[0], layout.shape[::-1], interpolation=cv2.INTER_LINEAR), np.float32)
    if layout.ignored is not None:
        coarse[layout.ignored] = 0
    return top_mean(fine), top_mean(coarse), score, float(coarse_score[0])
