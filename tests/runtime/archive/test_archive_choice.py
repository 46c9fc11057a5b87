"""Which frames an archive keeps."""

from __future__ import annotations

import math

import numpy as np
import pytest

from dmdd_edge.runtime.archive.choice import Choice, Chooser
from dmdd_edge.runtime.result import Result, Status

EMPTY = np.zeros((4, 4), np.float32)


def judged(status: Status, normalized: float) -> Result:
    return Result("a.png", 0, status, 0.0, normalized, normalized, 0.5, status == "anomalous", EMPTY)


def chooser(sample: float, margin: float = 0.05, seed: int = 7) -> Chooser:
    return Chooser(sample, margin, np.random.default_rng(seed))


@pytest.mark.parametrize(
    ("status", "normalized", "expected"),
    [
        ("anomalous", 0.9, Choice("anomalous")),
        ("anomalous", 0.51, Choice("anomalous")),
        ("unreliable", 0.1, Choice("unreliable")),
        ("unreliable", math.nan, Choice("unreliable")),
        ("good", 0.5, Choice("close")),
        ("good", 0.45, Choice("close")),
        ("good", 0.4499, None),
        ("good", 0.0, None),
    ],
)
def test_without_a_sample_the_status_and_the_score_decide(
    status: Status, normalized: float, expected: Choice | None
) -> None:
    assert chooser(0.0).choose(judged(status, normalized)) == expected


def test_a_good_part_that_is_close_and_drawn_is_both() -> None:
    assert chooser(1.0).choose(judged("good", 0.48)) == Choice("close", sampled=True)
    assert chooser(1.0).choose(judged("good", 0.2)) == Choice("sample", sampled=True)
    assert chooser(1.0).choose(judged("anomalous", 0.8)) == Choice("anomalous", sampled=False)
    assert Choice("close", sampled=True).budget == "sample"
    assert Choice("close").budget == "close"


def test_each_good_part_is_drawn_with_the_same_probability_whatever_its_score() -> None:
    rate, number = 0.02, 40_000
    choose = chooser(rate).choose
    for normalized in (0.1, 0.47):
        drawn = 0
        for _ in range(number):
            choice = choose(judged("good", normalized))
            drawn += choice is not None and choice.sampled
        spread = math.sqrt(number * rate * (1 - rate))
        assert abs(drawn - number * rate) < 4 * spread


def test_parts_that_are_not_good_do_not_shift_the_draws() -> None:
    alone, among = chooser(0.1), chooser(0.1)
    first = [alone.choose(judged("good", 0.2)) is not None for _ in range(200)]
    second = []
    for number in range(200):
        if number % 3 == 0:
            among.choose(judged("anomalous", 0.9))
        second.append(among.choose(judged("good", 0.2)) is not None)
    assert first == second
    assert 5 < sum(first) < 40
