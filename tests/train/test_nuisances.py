"""What changes a good image without being a defect."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.train.synthesis import nuisances

RNG = np.random.default_rng(0)


@pytest.fixture
def image() -> NDArray[np.uint8]:
    return np.random.default_rng(5).integers(20, 230, (64, 64, 3), np.uint8)


def test_light_and_gamma_by_hand() -> None:
    flat = np.full((4, 4, 3), 200, np.uint8)
    assert (nuisances.light(flat, 0.9, RNG) == 180).all()
    assert (nuisances.light(flat, 1.5, RNG) == 255).all()  # saturated
    assert (nuisances.gamma(flat, 2.0, RNG) == round(255 * (200 / 255) ** 2)).all()


def test_a_shift_moves_and_keeps_the_border() -> None:
    image = np.zeros((64, 64, 3), np.uint8)
    image[10, 20] = 255
    image[0] = 9
    moved = nuisances.shift(image, 2 / 64, RNG)
    assert (moved[12, 22] == 255).all()
    assert not moved[10, 20].any()
    assert (moved[1] == 9).all()  # what comes in repeats the border


def test_a_zoom_keeps_the_center_and_enlarges() -> None:
    image = np.zeros((101, 101, 3), np.uint8)
    cv2.circle(image, (50, 50), 20, (255, 255, 255), cv2.FILLED)
    grown = nuisances.zoom(image, 1.1, RNG)
    assert np.count_nonzero(grown[50, :, 0] > 127) == pytest.approx(1.1 * 41, abs=2)
    columns = np.flatnonzero(grown[50, :, 0] > 127)
    assert columns.mean() == pytest.approx(50, abs=0.6)


def test_a_lower_quality_changes_more(image: NDArray[np.uint8]) -> None:
    errors = [
        np.abs(nuisances.jpeg(image, quality, RNG).astype(int) - image).mean() for quality in (98, 85, 60)
    ]
    assert 0 < errors[0] < errors[1] < errors[2]


def test_noise_has_its_deviation_and_blur_lowers_contrast(image: NDArray[np.uint8]) -> None:
    flat = np.full((128, 128, 3), 100, np.uint8)
    noisy = nuisances.noise(flat, 3.0, np.random.default_rng(1)).astype(float)
    assert noisy.std() == pytest.approx(3.0, rel=0.05)
    assert nuisances.blur(image, 1.0, RNG).std() < 0.6 * image.std()


def test_a_disturbed_image_is_the_seeds_and_mild(image: NDArray[np.uint8]) -> None:
    smooth = cv2.GaussianBlur(image, (0, 0), 3)
    seen = set()
    for seed in range(24):
        first, again = (nuisances.disturbed(smooth, np.random.default_rng(seed)) for _ in range(2))
        assert (first == again).all()
        assert first.shape == smooth.shape
        assert first.dtype == np.uint8
        assert np.abs(first.astype(int) - smooth).mean() < 25
        seen.add(first.tobytes())
    assert len(seen) > 20
