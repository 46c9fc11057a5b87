"""The phases of an evaluation share one estimate, by the number of images of each."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.costs import FIGURES, OUTLIERS, REPORT, TEST, THRESHOLD, evaluating, training
from dmdd_edge.train.made_damage import damage_tried
from dmdd_edge.train.tile_bank import tiles_to_come


def test_each_image_of_a_tiled_category_counts_with_its_tiles() -> None:
    config = TrainConfig(data=Path("images"), category="plate")
    tiled = config.model_copy(update={"preprocess": Preprocess(tiling=Tiling(tile=256, overlap=32))})
    found = {cost.name: cost for cost in evaluating(tiled, 10, 40, 25, report=True)}
    assert list(found) == [THRESHOLD, TEST, FIGURES, REPORT]
    assert found[TEST].seconds == 4 * found[THRESHOLD].seconds
    # The maps of the images on the page are computed once more, of 30 at most.
    assert found[REPORT].seconds == 3 * found[THRESHOLD].seconds
    plain = {cost.name: cost for cost in evaluating(config, 0, 40, 1, report=False)}
    assert list(plain) == [TEST, FIGURES]
    assert plain[TEST].seconds == found[TEST].seconds / 25


def test_a_training_without_test_images_counts_the_damage_that_it_makes() -> None:
    """Whole images through all of their tiles: of the phases after the student they are the longest."""
    config = TrainConfig(data=Path("images"), category="plate")
    tiled = config.model_copy(update={"preprocess": Preprocess(tiling=Tiling(tile=256, overlap=32))})
    found = {cost.name: cost for cost in training(tiled, 1100, 10, 0, 240, 25, 30)}
    assert found[TEST].seconds == found[THRESHOLD].seconds / 10 * (10 + damage_tried())
    assert {FIGURES, REPORT} <= found.keys()
    # Whole images are searched for what looks out of place, not their tiles.
    plain = {cost.name: cost for cost in training(config, 30, 0, 0, 240)}
    assert found[OUTLIERS].seconds == plain[OUTLIERS].seconds


def test_the_number_of_tiles_is_known_before_the_images_are_read(tmp_path: Path) -> None:
    for number in range(10):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.zeros((480, 704), np.uint8))
    plain, coarse = (
        Preprocess(tiling=Tiling(tile=256, overlap=32, coarse=coarse)) for coarse in (False, True)
    )
    paths = sorted(tmp_path.iterdir())
    # 2 x 3 places, twice as many tiles of each of 8 trained images; with the coarse pass a quarter is added.
    assert tiles_to_come(plain, paths, 256, 0.2) == 96
    assert tiles_to_come(coarse, paths, 256, 0.2) == 128
