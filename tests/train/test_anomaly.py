"""Synthetic anomalies: the blend's arithmetic, where they may lie, and repeatability."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.train.config import SynthesisConfig
from dmdd_edge.train.synthesis.anomaly import synthesize

SIZE = 64
Image = NDArray[np.uint8]


class Given:
    """A texture made for the test."""

    def __init__(self, texture: Image) -> None:
        self.texture = texture

    def draw(self, rng: np.random.Generator) -> Image:
        rng.random()
        return self.texture


@pytest.fixture
def image() -> Image:
    return np.random.default_rng(0).integers(0, 256, (SIZE, SIZE, 3), np.uint8)


@pytest.fixture
def texture() -> Given:
    return Given(np.random.default_rng(1).integers(0, 256, (SIZE, SIZE, 3), np.uint8))


def disc(radius: int = 14) -> NDArray[np.bool_]:
    y, x = np.mgrid[:SIZE, :SIZE] - SIZE // 2
    found: NDArray[np.bool_] = y * y + x * x <= radius * radius
    return found


def draw(
    image: Image, foreground: NDArray[np.bool_] | None, textures: Any, seed: int = 0, **values: Any
) -> tuple[Image, NDArray[np.bool_]]:
    """A blended texture; test_damage.py has the other kinds."""
    config = SynthesisConfig(**{"warps": 0.0, "shades": 0.0, "smears": 0.0, **values})
    return synthesize(image, foreground, textures, config, np.random.default_rng(seed))


@pytest.mark.parametrize("beta", [0.0, 0.25, 0.7])
def test_the_blend_keeps_beta_of_the_image(beta: float, image: Image, texture: Given) -> None:
    before = image.copy()
    out, mask = draw(image, None, texture, beta=(beta, beta))
    assert 0 < mask.mean() < 1
    exact = beta * image.astype(np.float64) + (1 - beta) * texture.texture.astype(np.float64)
    assert np.array_equal(out[~mask], image[~mask])
    assert float(np.abs(out[mask] - exact[mask]).max()) <= 0.5 + 1e-4  # rounded, not cut off
    assert np.array_equal(image, before)


def test_beta_is_drawn_from_its_range(image: Image) -> None:
    black = Given(np.zeros_like(image))
    kept = []
    white = np.full_like(image, 255)
    for seed in range(60):
        out, mask = draw(white, None, black, seed=seed, beta=(0.2, 0.6))
        kept.append(float(out[mask].mean()) / 255)
    assert min(kept) >= 0.2 - 0.002
    assert max(kept) <= 0.6 + 0.002
    assert max(kept) - min(kept) > 0.3


def test_anomalies_lie_on_the_foreground(image: Image, texture: Given) -> None:
    part = disc()
    inside = [bool((draw(image, part, texture, seed=seed)[1] <= part).all()) for seed in range(60)]
    assert sum(inside) == 60
    # Without it they do not.
    assert not all((draw(image, None, texture, seed=seed)[1] <= part).all() for seed in range(10))


def test_there_is_always_an_anomaly(image: Image, texture: Given) -> None:
    for seed in range(60):
        for foreground in (None, disc(2)):
            out, mask = draw(image, foreground, texture, seed=seed)
            assert mask.any()
            assert not np.array_equal(out, image)


def test_an_empty_foreground_falls_back_to_the_whole_image(image: Image, texture: Given) -> None:
    empty = np.zeros((SIZE, SIZE), np.bool_)
    masks = [draw(image, empty, texture, seed=seed)[1] for seed in range(10)]
    assert all(mask.any() for mask in masks)
    union = np.any(masks, axis=0)
    assert union.mean() > 0.2


def test_a_threshold_that_no_noise_reaches_takes_the_foreground(image: Image, texture: Given) -> None:
    assert np.array_equal(draw(image, disc(), texture, perlin_threshold=5.0)[1], disc())
    assert draw(image, None, texture, perlin_threshold=5.0)[1].all()


def test_the_same_generator_gives_the_same_bytes(image: Image, texture: Given) -> None:
    first, again, other = (draw(image, disc(), texture, seed=seed) for seed in (4, 4, 5))
    assert first[0].tobytes() == again[0].tobytes()
    assert first[1].tobytes() == again[1].tobytes()
    assert first[0].tobytes() != other[0].tobytes()


def test_a_grey_image_gets_a_grey_anomaly(texture: Given) -> None:
    grey = np.repeat(np.random.default_rng(2).integers(0, 256, (SIZE, SIZE, 1), np.uint8), 3, axis=2)
    out, mask = draw(grey, None, texture, match_grey=True)
    assert np.array_equal(out[..., 0], out[..., 1])
    assert np.array_equal(out[..., 0], out[..., 2])
    assert not np.array_equal(out, grey)
    colourful, _ = draw(grey, None, texture, match_grey=False)
    assert not np.array_equal(colourful[..., 0], colourful[..., 2])
    assert np.array_equal(colourful[~mask], grey[~mask])
