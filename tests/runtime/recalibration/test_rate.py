"""The threshold of a rate through the censor of an archive, against counting and hand-worked cases."""

from __future__ import annotations

from fractions import Fraction
from itertools import combinations

import numpy as np
import pytest

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.recalibration.rate import Period, rate_at, threshold_of


def period(
    threshold: float,
    passing: float,
    sample: list[float],
    alarms: list[float],
    unreviewed: list[float] | None = None,
    unknown: int = 0,
) -> Period:
    arrays = [np.array(sorted(scores), np.float64) for scores in (sample, alarms, unreviewed or [])]
    return Period(threshold, passing, arrays[0], arrays[1], arrays[2], unknown)


@pytest.mark.parametrize("alpha", [0.01, 0.02, 0.05, 0.1, 0.25])
@pytest.mark.parametrize("count", [20, 99, 100, 199, 250])
def test_with_all_parts_kept_it_is_the_order_statistic(count: int, alpha: float) -> None:
    scores = np.random.default_rng(count).random(count).round(6)
    kept = period(0.8, int((scores <= 0.8).sum()), list(scores[scores <= 0.8]), list(scores[scores > 0.8]))
    assert threshold_of([kept], alpha) == threshold_from_normals(scores.tolist(), alpha).image


def test_alarms_alone_decide_while_they_are_more_than_the_rate_allows() -> None:
    # 970 passed and 30 alarms are good: 1 % of 1001 is 10.01, so the 10th largest alarm.
    alarms = [round(0.5 + at / 100, 2) for at in range(1, 31)]
    assert threshold_of([period(0.5, 970, [0.1] * 97, alarms)], 0.01) == alarms[-10]


def test_the_sample_decides_below_the_threshold_in_force() -> None:
    # 995 passed, 99 of them sampled: each stands for 996 / 100 = 9.96. Five alarms are good, and 10 % of 1001
    # is 100.1: with j sampled parts 5 + 9.96 j <= 100.1, so the 9th largest sampled score.
    sample = [at / 200 for at in range(99)]
    found = threshold_of([period(0.5, 995, sample, [0.6, 0.61, 0.62, 0.63, 0.64])], 0.1)
    assert found == sorted(sample)[-9]


def test_a_sample_that_is_too_small_leaves_the_threshold_where_it_is() -> None:
    # 990 passed, 4 of them sampled: one stands for 198 parts, and 10 % of 1001 allows 100.
    assert threshold_of([period(0.5, 990, [0.1, 0.2, 0.3, 0.4], [0.6] * 10)], 0.1) == 0.5


def test_too_few_parts_give_the_threshold_of_the_rate_that_they_support() -> None:
    assert threshold_of([period(0.5, 9, [0.1, 0.2], [0.7])], 0.01) == 0.7


@pytest.mark.parametrize("level", [2.5, 5.5, 8.5])
@pytest.mark.parametrize("alpha", ["0.15", "0.34", "0.5"])
def test_the_promise_holds_exactly_for_every_set_of_scores(alpha: str, level: float) -> None:
    """Each of nine parts is the next one in turn, with every sample of each size from the passing others."""
    parts = [float(score) for score in range(1, 10)]
    above = [Fraction(0)] * 9
    for size in range(9):
        for next_part in parts:
            others = [score for score in parts if score != next_part]
            passing = [score for score in others if score <= level]
            samples = list(combinations(passing, min(size, len(passing))))
            alarms = [score for score in others if score > level]
            found = [
                threshold_of([period(level, len(passing), list(kept), alarms)], float(alpha))
                for kept in samples
            ]
            assert None not in found
            above[size] += Fraction(sum(next_part > (at or 0) for at in found), len(samples) * len(parts))
    allowed = max(Fraction(alpha), Fraction(1, 9))
    assert all(rate <= allowed for rate in above)
    # It is not merely safe: with all parts kept, the largest multiple of 1 / 9 is used up.
    assert above[8] == Fraction(int(allowed * 9), 9)


def test_periods_under_two_thresholds_count_together() -> None:
    # Above 0.6 both kept all: 3 + 2 alarms of 300 good parts in all. 2 % of 301 is 6.02: 0.6 itself has 5
    # above it, and the next part makes 6.
    first = period(0.5, 90, [0.1] * 9, [0.55, 0.58, 0.7, 0.71, 0.72])
    second = period(0.6, 203, [0.1] * 9, [0.73, 0.74])
    assert threshold_of([first, second], 0.02) == 0.6
    # 1 % of 301 is 3.01: the third largest.
    assert threshold_of([first, second], 0.01) == 0.72


def test_alarms_without_a_verdict_bound_the_threshold() -> None:
    # 1 % of 200 is 2. All bad: the 2nd largest of the good ones. At worst the two above 0.7 are good, too:
    # above 0.8 is one, and 1 + 1 <= 0.01 * (199 + 1 + 1).
    missing = period(0.5, 195, [0.1] * 20, [0.6, 0.65, 0.7, 0.75], [0.52, 0.8, 0.9])
    assert threshold_of([missing], 0.01) == 0.7
    assert threshold_of([missing], 0.01, pessimistic=True) == 0.8


def test_alarms_of_unknown_score_may_leave_no_bound() -> None:
    known = period(0.5, 195, [0.1] * 20, [0.6, 0.65, 0.7, 0.75], unknown=1)
    assert threshold_of([known], 0.01, pessimistic=True) == 0.75
    lost = period(0.5, 195, [0.1] * 20, [0.6, 0.65, 0.7, 0.75], unknown=2)
    assert threshold_of([lost], 0.01, pessimistic=True) is None
    assert threshold_of([lost], 0.01) == 0.7


def test_the_rate_at_a_threshold_counts_each_part_with_its_weight() -> None:
    kept = period(0.5, 960, [0.1, 0.2, 0.3, 0.4], [0.6] * 40)
    assert rate_at([kept], 0.5).estimate == 40 / 1000
    assert rate_at([kept], 0.6).estimate == 0
    assert rate_at([kept], 0.3).estimate == (40 + 240) / 1000


def test_the_range_of_the_rate_is_that_of_the_beta_distribution() -> None:
    # Nine alarms of 999 good parts are above 0.7: Beta(10, 990), whose 5 and 95 % points are these
    # (scipy.stats.beta.ppf); as close as 999 plain images.
    found = rate_at([period(0.5, 970, [0.1] * 97, [0.6] * 20 + [0.8] * 9)], 0.7)
    assert (found.low, found.high) == pytest.approx((0.005441, 0.015668), rel=0.02)
    assert found.effective == pytest.approx(999, rel=0.03)
    coarse = rate_at([period(0.5, 970, [0.1] * 60 + [0.4] * 37, [0.6] * 20 + [0.8] * 9)], 0.3)
    assert coarse.effective == pytest.approx(97, rel=0.1)


def test_the_share_that_was_seen_is_within_the_range_that_is_stated() -> None:
    # 40 alarms of 20,040 good parts; of 200 sampled parts none is above, and one of those that were not seen
    # may be: (0 + 1) / (200 + 2) of them on average, more than the 0.2 % that were seen.
    sample = np.sort(np.random.default_rng(1).uniform(0.1, 0.4, 200))
    alarms = np.linspace(0.51, 0.8, 40)
    period = Period(0.5, 20_000, sample, alarms, np.empty(0))
    found = rate_at([period], 0.45)
    assert found.estimate == pytest.approx(40 / 20_040)
    assert found.low == found.estimate
    assert found.high > 1 / 202
    for threshold in (0.05, 0.2, 0.4, 0.5, 0.6, 0.9):
        stated = rate_at([period], threshold)
        assert stated.low <= stated.estimate <= stated.high
