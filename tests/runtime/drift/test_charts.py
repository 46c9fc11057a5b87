"""The statistics of the drift watch against published tables, scipy and hand-computed cases."""

from __future__ import annotations

import math
import random

import numpy as np
import pytest
from scipy import stats

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.runtime.drift.alarms import AlarmRate, critical_count
from dmdd_edge.runtime.drift.calibrated import COMPARED, AgainstCalibration
from dmdd_edge.runtime.drift.cusum import Cusum, limit_for, mean_run_length
from dmdd_edge.runtime.drift.observation import Place, Promise, trimmed_mean
from dmdd_edge.runtime.drift.reference import KEPT, Reference
from dmdd_edge.runtime.drift.stride import stride_of


@pytest.mark.parametrize(("limit", "length"), [(4.0, 335.37), (5.0, 930.89)])
def test_the_mean_run_length_is_that_of_the_literature(limit: float, length: float) -> None:
    # Two-sided 167.68 and 465.44 at k = 0.5 (Hawkins and Olwell, 1998); one side has twice that.
    assert mean_run_length(limit) == pytest.approx(length, rel=1e-4)


def test_a_simulation_has_the_run_length_that_a_limit_was_designed_for() -> None:
    limit, rng = limit_for(200.0), np.random.default_rng(4)
    lengths = []
    for _ in range(1500):
        total, count = 0.0, 0
        while total <= limit:
            total, count = max(total + float(rng.standard_normal()) - 0.5, 0.0), count + 1
        lengths.append(count)
    assert np.mean(lengths) == pytest.approx(200, abs=4 * np.std(lengths) / math.sqrt(len(lengths)))


def test_a_chart_warns_above_its_limit_and_ends_at_zero() -> None:
    chart = Cusum(1, 3.0)
    assert [chart.add(value) for value in (2.0, 2.0, 1.0)] == [False, False, True]  # 1.5, 3.0, 3.5
    assert (chart.sum, chart.since, chart.warning) == (3.0, 3, True)  # held at the limit
    assert [chart.add(-1.0) for _ in range(2)] == [False, True]  # 1.5, 0
    assert (chart.since, chart.warning) == (0, False)
    falling = Cusum(-1, 3.0)
    assert [falling.add(value) for value in (-2.0, -2.0, -1.0)] == [False, False, True]


def test_scores_of_ranks_are_standard_normal_whatever_the_distribution() -> None:
    rng, scores = random.Random(3), []
    for line in range(40):
        reference = Reference(f"line {line}")
        for _ in range(30):
            value = round(rng.expovariate(1.0) ** 3, 1)  # heavy tail, many ties
            scores.append(reference.score(value))
            reference.learn(value)
    assert stats.kstest(scores, "norm").pvalue > 0.01
    neighbors = np.corrcoef(scores[:-1], scores[1:])[0, 1]
    assert abs(neighbors) < 4 / math.sqrt(len(scores))


def test_a_reference_keeps_a_sample_of_everything() -> None:
    reference = Reference("light")
    for number in range(4 * KEPT):
        reference.learn(float(number))
    assert len(reference.values) == KEPT
    assert reference.values == sorted(reference.values)
    assert np.mean(reference.values) == pytest.approx(2 * KEPT, rel=0.05)


@pytest.mark.parametrize(("frames", "normals", "above"), [(200, 10, 0), (200, 100, 0), (2000, 999, 9)])
def test_the_critical_number_of_alarms_is_that_of_the_beta_binomial(
    frames: int, normals: int, above: int
) -> None:
    count, level = critical_count(frames, normals, above, 1e-4), 1e-4
    known = stats.betabinom(frames, above + 1, normals - above)
    assert known.sf(count - 1) <= level < known.sf(count - 2)


def test_for_many_parts_the_test_is_the_binomial_one() -> None:
    known = stats.binom(200, 0.01)
    count = critical_count(200, 1_000_000, 9_999, 1e-4)
    assert known.sf(count - 1) <= 1.1e-4
    assert known.sf(count - 2) > 0.9e-4


def test_the_promise_of_a_small_set_is_what_it_can_support() -> None:
    scores = [0.1 * k for k in range(1, 10)]
    promise = Promise.of(threshold_from_normals(scores, 0.01), 0.9)
    assert promise is not None
    assert (promise.normals, promise.above, promise.rate) == (9, 0, 0.1)  # 1 / (9 + 1), not 1 %
    assert promise.scores == tuple(scores[:-1])  # without the one that is the threshold
    many = threshold_from_normals([k / 1000 for k in range(999)], 0.05)
    exact = Promise.of(many, many.image)
    assert exact is not None
    assert exact.rate == pytest.approx(0.05)


def test_the_comparison_with_the_calibration_is_that_of_mann_and_whitney() -> None:
    rng = np.random.default_rng(8)
    known, line = np.sort(rng.random(20)), rng.random(COMPARED) ** 0.5
    compared = AgainstCalibration(known.tolist(), 0.01)
    notices = [n for number, score in enumerate(line) for n in compared.add(score, Place(number, 0.0))]
    tested = stats.mannwhitneyu(line, known, method="asymptotic", use_continuity=False)
    assert compared.share == pytest.approx(tested.statistic / (20 * COMPARED))
    assert (tested.pvalue < 0.01) == bool(notices)
    [begun] = notices
    assert begun.begins
    assert begun.drift.rises
    assert begun.drift.since.frame == 0
    usual = rng.permutation(np.repeat(known, COMPARED // 20))
    [over] = [n for number, score in enumerate(usual) for n in compared.add(score, Place(number, 0.0))]
    assert not over.begins


def test_ten_scores_of_a_calibration_can_tell_little_and_few_nothing() -> None:
    def notices(known: list[float], score: float) -> int:
        compared = AgainstCalibration(known, 1e-5)
        return sum(len(compared.add(score, Place(number, 0.0))) for number in range(COMPARED))

    ten = [0.1 * k for k in range(10)]
    assert notices(ten, 0.85) == 0  # above nine of ten: z = 0.4 / sqrt(211 / 24000) = 4.27, of 4.42
    assert notices(ten, 0.95) == 1  # above all: z = 5.33
    assert notices(ten[:4], 0.95) == 0


def test_alarms_of_a_threshold_by_hand_are_held_against_the_first_ones() -> None:
    rate = AlarmRate(None, 1e-6)
    assert rate.promised is None
    notices = [n for number in range(400) for n in rate.add(number % 100 == 0, Place(number, 0.0))]
    assert not notices
    assert rate.promised == pytest.approx(5 / 401)
    begun = [n for number in range(400, 1000) for n in rate.add(number % 4 == 0, Place(number, 0.0))]
    assert [n.begins for n in begun] == [True]
    assert begun[0].drift.since.frame == 400
    assert begun[0].drift.now == 0.25
    over = [n for number in range(1000, 1400) for n in rate.add(False, Place(number, 0.0))]
    assert [n.begins for n in over] == [False]


@pytest.mark.parametrize(("memory", "least", "most"), [(0.0, 1, 1), (0.5, 2, 4), (0.9, 8, 32)])
def test_the_stride_is_where_frames_are_uncorrelated(memory: float, least: int, most: int) -> None:
    rng, values = np.random.default_rng(5), [0.0]
    for _ in range(399):  # its correlation at a distance d is memory ** d
        values.append(memory * values[-1] + float(rng.standard_normal()))
    stride, enough = stride_of([values])
    assert least <= stride <= most
    assert enough


def test_a_trend_is_no_correlation_and_a_constant_is_none_either() -> None:
    noise = np.random.default_rng(6).standard_normal(400)
    trend = [float(value + 0.05 * number) for number, value in enumerate(noise)]
    assert stride_of([trend, [3.0] * 400]) == (1, True)
    slow = [math.sin(number / 130) for number in range(400)]
    assert stride_of([slow]) == (64, False)


def test_the_mean_of_a_batch_ignores_what_is_odd() -> None:
    assert trimmed_mean([5.0] * 18 + [1000.0, -1000.0]) == 5.0
    assert trimmed_mean([1.0, 2.0, 6.0]) == 3.0
