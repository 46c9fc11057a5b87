"""How long a run trains where nobody says."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmdd_edge.train import length


@pytest.mark.parametrize(
    ("images", "batch", "steps"),
    [
        (2, 8, 240),  # 16 would be 64 passes
        (30, 8, 240),  # 64 passes exactly
        (31, 8, 248),
        (188, 8, 1504),
        (288, 8, 2304),
        (1000, 8, 3000),  # 8000 would be 64 passes
        (101, 16, 404),
        (33, 7, 302),  # 301.7, rounded up
    ],
)
def test_steps_follow_the_number_of_images_within_bounds(images: int, batch: int, steps: int) -> None:
    assert length.automatic_steps(images, batch) == steps


@pytest.mark.parametrize(
    ("given", "steps"),
    [
        ({"steps": 7}, 7),
        ({"steps": 7, "max_minutes": 1.0}, 7),
        ({"epochs": 2.0, "batch_size": 4}, 50),
        ({"max_minutes": 1.0}, None),
        ({}, 800),
    ],
)
def test_what_the_configuration_sets_comes_first(
    given: dict[str, Any], steps: int | None, tiny_config: Callable[..., Any]
) -> None:
    config = tiny_config(**{"steps": None, "batch_size": 8, **given})
    assert length.steps_of(config, 100) == steps
    assert bool(length.describe(config, 100)) == (not given)


def test_what_was_chosen_is_told_with_its_reason(tiny_config: Callable[..., Any]) -> None:
    config = tiny_config(steps=None, batch_size=8)
    assert length.describe(config, 100) == [
        "length: 800 steps, 64 passes over 100 images; --steps sets another"
    ]
    assert length.describe(config, 12) == [
        "length: 240 steps, 160 passes over 12 images (at least 240; 64 passes would be 96); "
        "--steps sets another"
    ]
