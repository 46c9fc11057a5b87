"""The level of the coarse map beside that of the tiles' map."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling, with_gain
from dmdd_edge.train.coarse_gain import gain_of, measure_gain

SIZE = 32
PREPROCESS = Preprocess(tiling=Tiling(tile=64, overlap=8, coarse=True))


def test_the_gain_is_the_ratio_of_the_odds() -> None:
    # Odds of 4 and of 0.25, without any spread.
    assert gain_of([0.8, 0.8], [0.2, 0.2]) == pytest.approx(16)
    assert gain_of([0.2], [0.8]) == pytest.approx(1 / 16)


def test_the_map_with_the_wider_spread_is_lowered() -> None:
    odds = np.exp(np.array([-1.0, 1.0]))
    # Logarithms of -1 and 1: standard deviation of 2 / sqrt(2), of which 1.3 count.
    assert gain_of([0.5, 0.5], (odds / (1 + odds)).tolist()) == pytest.approx(np.exp(-1.3 * np.sqrt(2)))


def test_the_gain_is_bounded() -> None:
    assert gain_of([1.0], [0.0]) == pytest.approx(1e3)


def test_the_gain_brings_good_images_to_one_level(tmp_path: Path) -> None:
    """A detector that sees twice the odds where a tile is not the whole image."""
    paths = []
    rng = np.random.default_rng(0)
    for number in range(4):
        paths.append(tmp_path / f"{number}.png")
        cv2.imwrite(str(paths[-1]), np.full((128, 256, 3), int(rng.integers(40, 90)), np.uint8))
    batches = []

    def predict(tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        batches.append(len(tiles))
        maps: NDArray[np.float32] = tiles[..., 0].astype(np.float32) / np.float32(255)
        maps = with_gain(maps, 2.0) if len(tiles) > 1 else maps
        scores = np.asarray(maps.max((1, 2)), np.float32)
        return maps, with_gain(scores, 0.25) if len(tiles) == 1 else scores

    # The score of the whole image has a quarter of the odds, so eight times less than the tiles.
    assert measure_gain(predict, PREPROCESS, SIZE, paths) == pytest.approx((2.0, 8.0), rel=1e-3)
    # 128 x 256 are (128 - 8) / 56 = 3 by 5 tiles: batches of 8 and 7, then the whole image.
    assert batches == [8, 7, 1] * 4


def test_images_of_one_tile_have_no_gain(tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((60, 64, 3), np.uint8))
    assert (
        measure_gain(
            lambda tiles: (_ for _ in ()).throw(AssertionError), PREPROCESS, SIZE, [tmp_path / "0.png"]
        )
        is None
    )
