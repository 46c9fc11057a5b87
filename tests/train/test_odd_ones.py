"""Which held-out images alone set the threshold."""

from __future__ import annotations

import numpy as np

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.train.odd_ones import odd_ones

#: Scores of ordinary good parts.
USUAL = [0.50, 0.52, 0.53, 0.55, 0.56, 0.57, 0.58, 0.60, 0.61, 0.62, 0.63, 0.64, 0.52, 0.54, 0.56, 0.58, 0.60]


def lines(scores: list[float]) -> list[str]:
    files = [f"/data/good/{number}.png" for number in range(len(scores))]
    return odd_ones(files, scores, threshold_from_normals(scores))


def test_one_odd_part_is_named_with_what_the_others_reach() -> None:
    [line] = lines([*USUAL, 0.88])
    assert line.startswith("1 of 18 held-out images sets the threshold far above the others")
    assert "whose scores reach 0.6400: 17.png (0.8800)." in line


def test_two_of_thirty_are_named_the_furthest_first() -> None:
    [line] = lines([*USUAL, 0.82, *USUAL[:14], 0.87])
    assert line.startswith("2 of 33 held-out images set the")
    assert "32.png (0.8700), 17.png (0.8200)" in line


def test_usual_scores_name_nobody() -> None:
    assert lines(USUAL) == []
    rng = np.random.default_rng(0)
    named = sum(bool(lines(rng.normal(0.55, 0.03, 32).tolist())) for _ in range(200))
    assert named <= 2


def test_many_high_scores_are_a_spread_and_not_odd() -> None:
    assert lines([*USUAL, 0.82, 0.84, 0.86]) == []


def test_too_few_images_name_nobody() -> None:
    assert lines([0.5, 0.51, 0.52, 0.53, 0.9]) == []
