"""Intervals and the sign test against scipy."""

from __future__ import annotations

import pytest
from scipy.stats import binomtest

from dmdd_edge.evaluation.rates import Rate, sign_test


@pytest.mark.parametrize(
    ("count", "images"), [(0, 1), (1, 1), (0, 20), (3, 40), (61, 63), (63, 63), (7, 5000)]
)
def test_the_interval_is_clopper_and_pearsons(count: int, images: int) -> None:
    expected = binomtest(count, images).proportion_ci(0.95, method="exact")
    assert Rate(count, images).interval == pytest.approx((expected.low, expected.high), abs=1e-9)


@pytest.mark.parametrize(("first", "second"), [(0, 0), (1, 0), (3, 3), (0, 5), (0, 6), (12, 2), (40, 71)])
def test_the_sign_test_is_the_two_sided_binomial_test(first: int, second: int) -> None:
    expected = binomtest(first, first + second, 0.5).pvalue if first + second else 1.0
    assert sign_test(first, second) == pytest.approx(expected, abs=1e-12)
    assert sign_test(second, first) == sign_test(first, second)


def test_five_different_decisions_can_be_chance_and_six_cannot() -> None:
    assert sign_test(0, 5) == pytest.approx(2 / 32)
    assert sign_test(6, 0) == pytest.approx(2 / 64)


def test_a_rate_in_words() -> None:
    assert Rate(0, 20).describe() == "0 of 20 (95 % interval: 0.0 to 16.8 %)"
