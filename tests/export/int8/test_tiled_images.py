"""INT8 of a run with tiles: tiles for the ranges and the choice, joined maps for the gate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import BundleError
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.errors import DataError
from dmdd_edge.evaluation.test_set import scores_of
from dmdd_edge.evaluation.views import Views
from dmdd_edge.export.int8.choice import Choice
from dmdd_edge.export.int8.gate import MADE_DAMAGE, decide
from dmdd_edge.export.int8.images import int8_images
from dmdd_edge.export.int8.make import Made
from dmdd_edge.export.int8.tiled_images import tile_set, whole_set
from dmdd_edge.train.evaluation import torch_predictor


def _is_cut_from(tile: NDArray[np.uint8], views: Views) -> bool:
    size = views.size
    windows = (np.lib.stride_tricks.sliding_window_view(view[..., 0], (size, size)) for view in views)
    return any(bool((found == tile[..., 0]).all((2, 3)).any()) for found in windows)


def test_tiles_choose_and_whole_images_decide(tiled_run: Any) -> None:
    images = int8_images(tiled_run)
    assert isinstance(images.gate.images, Views)
    for tiles in (images.ranges, np.asarray(images.choice.images), images.sensitivity):
        assert tiles.shape[1:] == (64, 64, 3)
    held_out = [Path(path) for path in tiled_run.info["holdout"]]
    assert {path.name for path in images.gate.images.paths} == {path.name for path in held_out}
    preprocess = tiled_run.config.preprocess
    trained = Views(tuple(Path(path) for path in tiled_run.info["train"]), preprocess, 64)
    others = Views(tuple(held_out), preprocess, 64)
    assert _is_cut_from(images.ranges[0], trained)
    assert not _is_cut_from(images.ranges[0], others)
    assert _is_cut_from(images.choice.images[0], others)
    assert int(images.choice.labels.sum()) > 0


def test_without_images_there_are_no_tiles(tiled_run: Any) -> None:
    with pytest.raises(DataError, match="no images for INT8"):
        tile_set(Views((), tiled_run.config.preprocess, 64), 4, "none", seed=1, count=1)


def test_the_gate_compares_joined_maps(tiled_run: Any) -> None:
    paths = tuple(Path(path) for path in tiled_run.info["holdout"])
    test = whole_set(Views(paths, tiled_run.config.preprocess, 64), 1, seed=3, count=1)
    exact = torch_predictor(tiled_run.model)

    def spoilt(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        maps, scores = exact(images)
        return np.asarray(1 - maps, np.float32), np.asarray(1 - scores, np.float32)

    assert isinstance(test.images, Views)
    good = test.images.taken(np.flatnonzero(~test.labels).tolist())
    threshold = threshold_from_normals(scores_of(exact, good).tolist())
    same = decide((exact, exact), (threshold, threshold), [(MADE_DAMAGE, test)])
    assert same.differences == (0.0, 0.0)
    assert same.problems() == []
    other = decide((exact, spoilt), (threshold, threshold), [(MADE_DAMAGE, test)])
    assert other.differences is not None
    assert other.differences[0] > 0.1
    with pytest.raises(BundleError, match="rank correlation"):
        other.require(Made(0.75, (), 12, Choice((), ()), 1.0))
