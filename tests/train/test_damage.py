"""Damage without a texture: where it lies, that its mask is what changed, and how it enters the synthesis."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.train.config import RECIPES, SynthesisConfig
from dmdd_edge.train.synthesis import damage
from dmdd_edge.train.synthesis.anomaly import synthesize

SIZE = 128
Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def stripes(channels: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> Image:
    x = np.arange(SIZE)
    wave = np.rint(127 + 80 * np.sin(2 * np.pi * x / 16))
    return np.asarray(wave[None, :, None] * np.ones((SIZE, 1, 1)) * channels, np.uint8)


def disc(radius: int = 20) -> Mask:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    return np.asarray(y * y + x * x <= radius * radius)


def far(radius: int) -> Mask:
    return ~disc(radius)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("make", [damage.warp, damage.shade, damage.smear])
def test_the_mask_is_what_can_be_seen_to_have_changed(make: damage.Maker, seed: int) -> None:
    image = stripes()
    before = image.copy()
    made, mask = make(image, disc(), np.random.default_rng(seed))
    difference = np.abs(made.astype(int) - before).max(2)
    assert np.array_equal(image, before)
    assert mask.any()
    assert not (mask & far(34)).any()
    assert np.array_equal(made[far(34)], before[far(34)])  # the soft edge ends within three widths
    assert difference[mask].mean() > 4 * difference[~mask].mean()
    assert difference[~mask].max() < 30
    assert np.array_equal(made[..., 0], made[..., 1])  # what was grey stays grey


def test_a_warp_moves_pixels_and_makes_no_new_ones() -> None:
    image = stripes((1.0, 0.5, 0.25))
    made, mask = damage.warp(image, disc(), np.random.default_rng(3))
    assert made.min() >= image.min()
    assert made.max() <= image.max()
    # Colours belong together after it as before: blue is twice green, but for rounding.
    assert np.abs(made[..., 0].astype(int) - 2 * made[..., 1].astype(int))[mask].max() <= 3


def test_a_warp_of_a_plain_surface_shows_nothing() -> None:
    plain = np.full((SIZE, SIZE, 3), 90, np.uint8)
    made, mask = damage.warp(plain, disc(), np.random.default_rng(0))
    assert np.array_equal(made, plain)
    assert not mask.any()


def test_nowhere_to_work_changes_nothing() -> None:
    image, nowhere = stripes(), np.zeros((SIZE, SIZE), np.bool_)
    for make in (damage.warp, damage.shade, damage.smear):
        made, mask = make(image, nowhere, np.random.default_rng(0))
        assert np.array_equal(made, image)
        assert not mask.any()


def test_a_shade_takes_another_brightness_in_the_middle() -> None:
    image = np.full((SIZE, SIZE, 3), 100, np.uint8)
    seen = []
    for seed in range(20):
        made, _ = damage.shade(image, disc(30), np.random.default_rng(seed))
        seen.append(int(made[SIZE // 2, SIZE // 2, 0]) - 100)
    assert min(seen) < -20
    assert max(seen) > 20


def test_a_smear_takes_thin_structures_away() -> None:
    image = np.full((SIZE, SIZE, 3), 200, np.uint8)
    image[:, 63:65] = 40
    left = [damage.smear(image, disc(40), np.random.default_rng(seed))[0][64, 63, 0] for seed in range(30)]
    assert sum(value > 190 for value in left) >= 10  # dilation and median, not erosion


class White:
    """A texture that no damage can make of dark stripes."""

    def draw(self, rng: np.random.Generator) -> Image:
        return np.full((SIZE, SIZE, 3), 255, np.uint8)


def kinds(count: int = 400, **shares: float) -> float:
    """How many of the anomalies are blends of the texture."""
    config = SynthesisConfig(beta=(0.0, 0.0), match_grey=False, **shares)
    blends = 0
    for seed in range(count):
        made, mask = synthesize(
            stripes((0.4, 0.4, 0.4)), disc(40), White(), config, np.random.default_rng(seed)
        )
        blends += bool((made[mask] == 255).all())
    return blends / count


def test_the_shares_decide_how_often_each_kind_is_made() -> None:
    assert kinds(warps=0.0, shades=0.0, smears=0.0, count=50) == 1.0
    assert kinds(warps=0.2, shades=0.2, smears=0.1) == pytest.approx(0.5, abs=0.1)  # four standard errors
    assert kinds(warps=0.3, shades=0.3, smears=0.3, count=100) < 0.25  # and masks that show nothing


def test_the_papers_recipe_makes_neither() -> None:
    values = RECIPES["paper"][1]
    assert values["warps"] == values["shades"] == values["smears"] == 0.0
