"""Where tiles are drawn."""

from __future__ import annotations

import numpy as np

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.train.tile_places import draw_places, part_of_tile

LAYOUT = Preprocess(tiling=Tiling(tile=64, overlap=8)).geometry((300, 400), 64).layout


def test_the_border_has_its_share() -> None:
    places = np.array(draw_places(LAYOUT, None, 4000, np.random.default_rng(0)))
    rows = places[:, 0]
    assert rows.min() == 0
    assert rows.max() == 300 - 64
    # A quarter of a tile beyond each border: 16 rows of 16 + 237 + 16 are moved to the first one, which has
    # one row of its own.
    assert abs(float((rows == 0).mean()) - 17 / 269) < 0.01
    inside = rows[(rows > 0) & (rows < 236)]
    assert abs(float(inside.mean()) - 118) < 5


def test_the_part_is_mapped_into_the_tile() -> None:
    part = np.zeros((300, 400), np.bool_)
    part[100:200, 50:90] = True
    tile = part_of_tile(LAYOUT, part, (80, 40))
    assert tile is not None
    expected = np.zeros((64, 64), np.bool_)
    expected[20:, 10:50] = True
    assert np.array_equal(tile, expected)
    assert part_of_tile(LAYOUT, part, (0, 300)) is None
