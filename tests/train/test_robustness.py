"""What a finished run tolerates, by hand."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.train.robustness import describe_shares, images_tried, shares_above


def by_brightness(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scores = images.mean((1, 2, 3)).astype(np.float32) / 255
    return np.zeros(images.shape[:3], np.float32), scores


def test_shares_above_the_threshold() -> None:
    good = np.stack([np.full((32, 32, 3), level, np.uint8) for level in (100, 105, 110, 120)])
    threshold = threshold_from_normals([0.2, 117 / 255])  # above 105 * 1.1, below 110 * 1.1
    shares = shares_above(by_brightness, good, threshold)
    assert shares == {
        "JPEG 85": 0.25,  # 120 alone, as without a change
        "light -10 %": 0.0,
        "light +10 %": 0.5,
        "blur of half a pixel": 0.25,
        "zoom of 1 %": 0.25,
    }


def test_of_many_images_a_sample_over_all_of_them_is_tried() -> None:
    good = np.stack([np.full((8, 8, 3), level, np.uint8) for level in range(100, 164)])
    steps: list[tuple[int, int]] = []
    shares = shares_above(
        by_brightness, good, threshold_from_normals([131.5 / 255]), lambda *step: steps.append(step)
    )
    assert steps[-1] == (160, 160)
    assert steps == sorted(set(steps))
    assert images_tried(64) == 160
    assert shares["zoom of 1 %"] == 0.5  # as many above as below, though half of the images are used


def test_a_large_share_comes_with_advice() -> None:
    mild = describe_shares({"JPEG 85": 0.0, "light -10 %": 0.1}, 10, 0.0)
    assert mild == (
        "Good parts rejected after a change (10 held-out images): JPEG quality 85: 0 %; light -10 %: 10 %."
    )
    many = {"JPEG 85": 0.2, "light -10 %": 0.1}
    assert "Train with --nuisances 0.5, or calibrate with" in describe_shares(many, 10, 0.0)
    assert "%. Calibrate with" in describe_shares(many, 10, 0.5)
    assert "(32 of 40 held-out images)" in describe_shares(many, 40, 0.0)
