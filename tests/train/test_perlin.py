"""Perlin noise against a slow scalar reference written from its definition."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dmdd_edge.train.synthesis.perlin import perlin_mask, perlin_noise


def scalar_noise(size: int, rows: int, columns: int, angles: list[list[float]]) -> list[list[float]]:
    """Gradient noise, one pixel at a time: the corners' gradients times the way to them, faded between."""

    def fade(t: float) -> float:
        return 6 * t**5 - 15 * t**4 + 10 * t**3

    found = []
    for i in range(size):
        line = []
        for j in range(size):
            y, x = i * rows / size, j * columns / size
            top, left = math.floor(y), math.floor(x)

            def corner(row: int, column: int, y: float = y, x: float = x) -> float:
                angle = angles[row][column]
                return math.sin(angle) * (y - row) + math.cos(angle) * (x - column)

            across = fade(x - left)
            above = corner(top, left) * (1 - across) + corner(top, left + 1) * across
            below = corner(top + 1, left) * (1 - across) + corner(top + 1, left + 1) * across
            down = fade(y - top)
            line.append(math.sqrt(2) * (above * (1 - down) + below * down))
        found.append(line)
    return found


@pytest.mark.parametrize("cells", [(1, 1), (2, 4), (4, 1)])
def test_noise_is_the_definitions(cells: tuple[int, int]) -> None:
    rows, columns = cells
    # The gradients are the generator's first numbers: angles of a full turn, one a corner of the grid.
    angles = np.random.default_rng(7).uniform(0, 2 * math.pi, (rows + 1, columns + 1)).tolist()
    found = perlin_noise(16, cells, np.random.default_rng(7))
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, scalar_noise(16, rows, columns, angles), atol=1e-5)


def test_noise_is_zero_on_the_grid_and_stays_in_range() -> None:
    noise = perlin_noise(64, (8, 4), np.random.default_rng(0))
    np.testing.assert_allclose(noise[::8, ::16], 0.0, atol=1e-6)
    assert float(np.abs(noise).max()) <= 1.0 + 1e-6
    assert float(noise.std()) > 0.1


@pytest.mark.parametrize("size", [64, 96, 256])
def test_masks_have_the_size_asked_for_and_cover_a_part(size: int) -> None:
    shares = [float(perlin_mask(size, 5, 0.5, np.random.default_rng(seed)).mean()) for seed in range(40)]
    assert perlin_mask(size, 5, 0.5, np.random.default_rng(0)).shape == (size, size)
    assert 0.005 < float(np.mean(shares)) < 0.3
    assert max(shares) < 0.9


def test_the_threshold_decides_the_share() -> None:
    everything = perlin_mask(64, 5, -2.0, np.random.default_rng(1))
    nothing = perlin_mask(64, 5, 2.0, np.random.default_rng(1))
    low, high = (perlin_mask(64, 5, threshold, np.random.default_rng(1)) for threshold in (0.1, 0.4))
    assert everything.all()
    assert not nothing.any()
    assert (low | high == low).all()
    assert low.sum() > high.sum() > 0


def test_the_same_generator_gives_the_same_mask() -> None:
    def draw(seed: int) -> bytes:
        return perlin_mask(64, 5, 0.3, np.random.default_rng(seed)).tobytes()

    assert draw(3) == draw(3)
    assert len({draw(seed) for seed in range(10)}) == 10


def test_a_coarse_octave_gives_one_cell() -> None:
    """With one cell the noise is smooth: few crossings of the threshold along any row."""
    for seed in range(10):
        mask = perlin_mask(64, 0, 0.2, np.random.default_rng(seed))
        crossings = np.abs(np.diff(mask.astype(int), axis=1)).sum(1)
        assert crossings.max() <= 4
