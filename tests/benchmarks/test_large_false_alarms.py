"""False alarms over seeded divisions, on scores whose rates are known."""

from __future__ import annotations

import numpy as np
import pytest
from large.false_alarms import false_alarms, generated


def test_whole_images_keep_the_rate_and_single_tiles_do_not() -> None:
    tiles = np.random.default_rng(5).random((300, 20))
    parts = [{"whole": float(part.max()), "tiles": part.tolist()} for part in tiles]
    found = false_alarms(parts, 0.1, splits=30)
    assert found["whole_images"] == pytest.approx(0.1, abs=0.03)
    # One of 20 independent tiles is above the level that a tenth of all tiles exceed: 1 - 0.9 ** 20.
    assert found["single_tiles"] == pytest.approx(1 - 0.9**20, abs=0.05)
    assert found["whole_images_lowest"] <= found["whole_images"] <= found["whole_images_highest"]


def test_generated_parts_are_joined_from_their_tiles() -> None:
    (part, again) = generated(1) + generated(1)
    assert part == again
    assert len(part["tiles"]) == 70
    assert 0 < part["whole"] <= max(part["tiles"]) + 0.2
