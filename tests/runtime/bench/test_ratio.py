from __future__ import annotations

import numpy as np
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.ratio import paired_ratio, separate_ratio


def test_a_constant_factor_is_found_exactly() -> None:
    a = np.random.default_rng(0).gamma(4.0, size=200) + 10
    for measure in (paired_ratio, separate_ratio):
        ratio = measure(a, 1.25 * a)
        assert ratio.value == pytest.approx(1.25)
        assert ratio.low <= 1.25 <= ratio.high
    assert paired_ratio(a, a).low == paired_ratio(a, a).high == 1.0
    assert not paired_ratio(a, a).differs
    assert paired_ratio(a, 1.25 * a).differs


def test_it_is_the_ratio_of_b_to_a() -> None:
    a, b = np.full(20, 4.0), np.full(20, 2.0)
    assert paired_ratio(a, b).value == 0.5
    assert separate_ratio(b, a).value == 2.0


def test_what_disturbs_both_sides_widens_nothing_when_they_took_turns() -> None:
    # The machine becomes half as fast for the second half of the run.
    rng = np.random.default_rng(1)
    pace = np.where(np.arange(400) < 200, 10.0, 20.0)
    a, b = (pace * rng.normal(1, 0.01, 400) for _ in range(2))
    together, apart = paired_ratio(a, b), separate_ratio(a, b)
    assert together.high - together.low < 0.05
    assert apart.high - apart.low > 0.5


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    rng, held = np.random.default_rng(2), 0
    for _ in range(60):
        a, b = rng.lognormal(2.0, 0.1, 250), 1.05 * rng.lognormal(2.0, 0.1, 250)
        ratio = paired_ratio(a, b)
        held += ratio.low <= 1.05 <= ratio.high
    assert held >= 50, "95 % are 57 of 60; fewer than 50 come about less than once in ten thousand"


def test_too_few_to_compare() -> None:
    with pytest.raises(DmddError, match="7 queries of a side are too few"):
        paired_ratio(np.ones(7), np.ones(7))
    with pytest.raises(DmddError, match="3 queries"):
        separate_ratio(np.ones(100), np.ones(3))
