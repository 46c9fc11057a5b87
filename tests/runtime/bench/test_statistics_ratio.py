from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import t as student_t
from scipy.stats import trim_mean
from scipy.stats.mstats import winsorize

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.bench.statistics import Round, ratio_of_rounds, separate_ratio, student


def rounds(seed: int, factor: float = 1.0, spread: float = 0.1, opened: float = 0.0) -> list[Round]:
    """Twelve rounds of twenty queries; ``opened`` is how much an operand differs between openings."""
    rng = np.random.default_rng(seed)
    found = []
    for pace in rng.uniform(10, 40, 12):  # other processes load the machine more or less
        openings = np.exp(rng.normal(0, opened, 2)) * (1, factor)
        a, b = (pace * opening * rng.lognormal(0, spread, 20) for opening in openings)
        found.append((a, b))
    return found


def test_a_constant_factor_is_found_exactly() -> None:
    pairs = [(a, 1.25 * a) for a, _ in rounds(0)]
    ratio = ratio_of_rounds(pairs)
    assert (ratio.value, ratio.low, ratio.high) == pytest.approx((1.25, 1.25, 1.25))
    assert ratio.differs
    same = ratio_of_rounds([(a, a) for a, _ in pairs])
    assert (same.value, same.low, same.high) == (1, 1, 1)
    assert not same.differs


def test_three_rounds_by_hand() -> None:
    a = np.full(4, 10.0)
    ratio = ratio_of_rounds([(a, 2 * a), (a, 8 * a), (a, 4 * a)])
    # The geometric mean of 2, 8 and 4; their logarithms to the base 2 are 1, 3 and 2, of deviation 1.
    assert ratio.value == pytest.approx(4)
    reach = student_t.ppf(0.975, 2) / 3**0.5
    assert (ratio.low, ratio.high) == pytest.approx((2 ** (2 - reach), 2 ** (2 + reach)), rel=1e-4)


def test_it_is_the_ratio_of_b_to_a() -> None:
    a, b = np.full(20, 4.0), np.full(20, 2.0)
    assert ratio_of_rounds([(a, b)] * 3).value == 0.5
    assert separate_ratio(a, b).value == 0.5
    assert separate_ratio(b, a).value == 2.0


def test_what_disturbs_a_round_disturbs_both_sides() -> None:
    pairs = rounds(1, spread=0.01)
    together = ratio_of_rounds(pairs)
    apart = separate_ratio(*(np.concatenate([pair[side] for pair in pairs]) for side in (0, 1)))
    assert together.high - together.low < 0.02
    assert apart.high - apart.low > 10 * (together.high - together.low)


def test_what_a_side_is_given_when_it_is_opened_is_in_the_interval() -> None:
    steady, shifting = (
        ratio_of_rounds(rounds(2, spread=0.01)),
        ratio_of_rounds(rounds(2, spread=0.01, opened=0.04)),
    )
    assert shifting.high - shifting.low > 3 * (steady.high - steady.low)


def test_the_interval_holds_the_true_ratio_as_often_as_it_says() -> None:
    held = 0
    for seed in range(300):
        ratio = ratio_of_rounds(rounds(seed, factor=1.05, opened=0.02))
        held += ratio.low <= 1.05 <= ratio.high
    # 285 are expected of 300; less than 270 comes about once in ten thousand.
    assert held >= 270


def test_a_spoilt_round_moves_nothing() -> None:
    pairs = rounds(4, factor=1.05, spread=0.01)
    spoilt = [(a, 5 * b) if index == 3 else (a, b) for index, (a, b) in enumerate(pairs)]
    ratio = ratio_of_rounds(spoilt)
    assert ratio.value == pytest.approx(1.05, rel=0.01)
    assert ratio.high - ratio.low < 0.03


def test_a_trimmed_mean_against_scipys() -> None:
    found = rounds(5, spread=0.2)
    logs = [np.log(np.median(b) / np.median(a)) for a, b in found]
    ratio = ratio_of_rounds(found)
    assert np.log(ratio.value) == pytest.approx(trim_mean(logs, 0.2))
    winsorized = np.asarray(winsorize(np.array(logs), (2 / 12, 2 / 12)))
    error = winsorized.std(ddof=1) * np.sqrt(11 / (8 * 7))  # Yuen's
    reach = student_t.ppf(0.975, 7) * error
    assert np.log(ratio.high / ratio.value) == pytest.approx(reach, rel=0.01)


def test_students_quantile() -> None:
    for freedom in (2, 3, 5, 11, 23, 59, 1000):
        assert student(freedom) == pytest.approx(student_t.ppf(0.975, freedom), rel=0.01)


def test_separate_runs_are_drawn_in_blocks() -> None:
    a = np.random.default_rng(0).gamma(4.0, size=200) + 10
    ratio = separate_ratio(a, 1.25 * a)
    assert ratio.value == pytest.approx(1.25)
    assert ratio.low < 1.25 < ratio.high


def test_too_few_to_compare() -> None:
    ones = np.ones(3)
    with pytest.raises(DmddError, match="6 queries of an operand are too few"):
        ratio_of_rounds([(ones, ones)] * 2)
    with pytest.raises(DmddError, match="2 rounds are too few"):
        ratio_of_rounds([(np.ones(9), np.ones(9))] * 2)
    with pytest.raises(DmddError, match="0 queries"):
        ratio_of_rounds([])
    with pytest.raises(DmddError, match="3 queries"):
        separate_ratio(np.ones(100), ones)
