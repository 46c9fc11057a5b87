"""A run whose maps are compared with good parts at the same place: threshold, figures, bundle."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import map_peak
from dmdd_edge.data.image_header import header_of
from dmdd_edge.data.images import read_image
from dmdd_edge.data.place_levels import PlaceLevels, cell_peaks
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.evaluation.test_set import load_test_set
from dmdd_edge.evaluation.views import Views
from dmdd_edge.train.checkpoint import Run, load_run, read_facts
from dmdd_edge.train.evaluation import holdout_images, threshold_and_odd
from dmdd_edge.train.held_out_levels import HeldOutLevels
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.places import category_of
from dmdd_edge.train.session import measure, train

SIZE = 64


def darkness(tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A map that is high where the tile is dark."""
    maps = (1 - tiles.astype(np.float32).mean(3) / 255) ** 2
    return maps, maps.max((1, 2))


@pytest.fixture
def placed_run(tiled_run: Any, tmp_path: Path) -> Run:
    """The tiled run with its held-out images of 330 x 200 pixels only, and their levels."""
    folder = tmp_path / "plate"
    shutil.copytree(tiled_run.folder, folder)
    held_out = [path for path in tiled_run.info["holdout"] if header_of(Path(path)).width == 330]
    maps = [darkness(read_image(Path(path))[None])[0][0] for path in held_out]
    HeldOutLevels((0, 1), np.stack([cell_peaks(each) for each in maps]), (200, 330)).write(folder)
    facts = json.loads((folder / "run.json").read_text())
    facts |= {"holdout": held_out, "place": {"by_place": True}}
    (folder / "run.json").write_text(json.dumps(facts))
    return load_run(folder)


def test_a_held_out_image_is_compared_with_the_levels_of_the_others(placed_run: Run) -> None:
    tiling = placed_run.config.preprocess.tiling
    assert tiling is not None
    assert tiling.levels is not None
    assert tiling.levels.images == 2
    maps = [darkness(view[None])[0][0] for view in holdout_images(placed_run)]
    expected = []
    for own, other in ((maps[0], maps[1]), (maps[1], maps[0])):
        levels = PlaceLevels.of(cell_peaks(other)[None], (200, 330))
        expected.append(map_peak(levels.beside(own.copy(), own.shape)))
    threshold, _ = threshold_and_odd(placed_run, darkness)
    assert threshold.scores == pytest.approx(sorted(expected), abs=1e-4)
    # Beside its own values, no held-out image would be above them.
    assert threshold.image > 0.5


def test_the_own_levels_follow_the_images(placed_run: Run) -> None:
    views = holdout_images(placed_run)
    assert isinstance(views, Views)
    second = views.taken([1]).changed(lambda view, index: view)
    layouts = [each.read(index)[1] for each, index in ((views, 0), (views, 1), (second, 0))]
    levels = [layout.tiling.levels for layout in layouts if layout.tiling is not None]
    assert levels[1] == levels[2] != levels[0]
    assert all(each is not None and each.images == 1 for each in levels)


def test_test_images_of_another_size_are_left_out_and_named(placed_run: Run) -> None:
    category = category_of(placed_run)
    # Loaded before the training, as a session does, when no levels are known.
    before = load_test_set(category, Preprocess(tiling=Tiling(tile=SIZE, overlap=16)), SIZE)
    assert len(before.items) == 6
    measured = measure(placed_run, category, darkness, None, lambda done, total: None, before)
    used = [len(group) for group in (measured.test.items, measured.skipped)]
    assert used == [4, 2]  # of 3 good and 3 bad ones, every second has another size
    assert "cannot be compared with good parts" in measured.skipped[0][1]


@pytest.mark.slow
def test_a_training_measures_levels_and_keeps_them(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    data = tmp_path / "part"
    data.mkdir()
    rng = np.random.default_rng(0)
    for number in range(12):
        noise = rng.integers(90, 160, (13, 20, 3), dtype=np.uint8)
        cv2.imwrite(str(data / f"{number}.png"), cv2.resize(noise, (160, 104)))
    preprocess = Preprocess(tiling=Tiling(tile=64, overlap=8, coarse=True))
    config = tiny_config(
        steps=1, data=data, category="part", preprocess=preprocess, head_steps=1, holdout=0.7, score="place"
    )
    folder = tmp_path / "runs" / "part"
    outcome = train(config, folder, Listener(), resume=False, tensorboard=False)
    facts = read_facts(folder)
    assert facts["place"]["by_place"]
    assert facts["coarse_score_gain"] > 0
    kept = HeldOutLevels.read(folder)
    assert len(kept.peaks) == len(facts["holdout"]) == 8
    for run in (outcome.run, load_run(folder)):
        tiling = run.config.preprocess.tiling
        assert tiling is not None
        assert tiling.levels == kept.levels()
        assert tiling.coarse_score_gain == facts["coarse_score_gain"]
    # The levels that the threshold is set with are those of the other seven.
    views = holdout_images(outcome.run)
    assert isinstance(views, Views)
    layouts = [views.read(index)[1] for index in range(8)]
    assert [one.tiling.levels.images for one in layouts if one.tiling and one.tiling.levels] == [7] * 8
    assert outcome.threshold is not None
    assert outcome.damage is not None  # no test images: made damage is evaluated beside the same levels
