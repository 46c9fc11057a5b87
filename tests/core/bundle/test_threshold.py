from __future__ import annotations

import math

import numpy as np
import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.threshold import checked_threshold, map_peak, normalized_score, threshold_from_normals


def _spread(count: int) -> list[float]:
    """count different scores in 0..1, not in order; the k-th smallest is k / (count + 1)."""
    scores = [k / (count + 1) for k in range(1, count + 1)]
    np.random.default_rng(3).shuffle(scores)
    return scores


@pytest.mark.parametrize(
    ("count", "alpha", "rank"),
    [
        (99, 0.01, 99),  # 100 * 0.99 = 99: just enough, the largest
        (100, 0.01, 100),  # 101 * 0.99 = 99.99
        (199, 0.01, 198),  # 200 * 0.99 = 198: the second largest
        (9, 0.1, 9),
        (10, 0.2, 9),  # 11 * 0.8 = 8.8
        (99, 0.43, 57),  # 100 * 0.57; in floating point 1 - 0.43 = 0.5700000000000001 gives 58
    ],
)
def test_the_threshold_is_the_order_statistic_of_the_rule(count: int, alpha: float, rank: int) -> None:
    threshold = threshold_from_normals(_spread(count), alpha)
    assert threshold.image == pytest.approx(rank / (count + 1), abs=1e-12)
    assert threshold.holds
    assert threshold.normals == count
    assert "at most" in threshold.describe()


def test_the_false_alarm_rate_is_kept_for_scores_of_any_distribution() -> None:
    # For exchangeable scores the chance that a further one lies above is exactly 1 - rank / (n + 1).
    generator = np.random.default_rng(11)
    trials, count = 4000, 39
    alarms = 0
    for _ in range(trials):
        scores = generator.beta(0.5, 3.0, size=count + 1)
        alarms += scores[-1] > threshold_from_normals(scores[:-1].tolist(), 0.1).image
    expected = 1 - 36 / 40
    assert alarms / trials == pytest.approx(expected, abs=4 * math.sqrt(expected * (1 - expected) / trials))


def test_too_few_normals_give_the_maximum_and_say_what_is_missing() -> None:
    threshold = threshold_from_normals([0.2, 0.7, 0.1], alpha=0.01)
    assert threshold.image == threshold.pixel == 0.7
    assert threshold.attainable == pytest.approx(0.25)  # 1 / (3 + 1)
    assert threshold.needed == 99  # the least n with ceil((n + 1) * 0.99) <= n
    assert not threshold.holds
    assert threshold.scores == (0.1, 0.2, 0.7)
    sentence = threshold.describe()
    assert "0.7000" in sentence
    assert "3 good images" in sentence
    assert "needs 99" in sentence
    assert "25 %" in sentence


@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.01, 0.001, 0.013])
def test_needed_is_the_least_number_whose_rank_exists(alpha: float) -> None:
    needed = threshold_from_normals([0.5], alpha).needed

    def rank_exists(n: int) -> bool:
        return (n + 1) * (1 - alpha) <= n + 1e-9

    assert rank_exists(needed)
    assert not rank_exists(needed - 1)


def test_the_pixel_threshold_can_be_set_apart() -> None:
    threshold = threshold_from_normals([0.2, 0.4], pixel=0.9)
    assert (threshold.image, threshold.pixel) == (0.4, 0.9)


@pytest.mark.parametrize(
    ("scores", "alpha", "part"),
    [
        ([], 0.01, "no good image"),
        ([0.5], 0.0, "false-alarm rate is 0.0"),
        ([0.5], 1.0, "false-alarm rate is 1.0"),
        ([0.5, 1.2], 0.01, "outside 0..1"),
        ([math.nan], 0.01, "outside 0..1"),
    ],
)
def test_what_cannot_be_is_named(scores: list[float], alpha: float, part: str) -> None:
    with pytest.raises(DmddError, match=part) as caught:
        threshold_from_normals(scores, alpha)
    assert caught.value.fix


@pytest.mark.parametrize(
    ("score", "threshold", "expected"),
    [
        (0.0, 0.4, 0.0),
        (0.2, 0.4, 0.25),
        (0.4, 0.4, 0.5),
        (0.7, 0.4, 0.75),
        (1.0, 0.4, 1.0),
        (0.0, 0.0, 0.0),
        (0.5, 0.0, 0.75),
        (1.0, 0.0, 1.0),
        (0.5, 1.0, 0.25),
        (1.0, 1.0, 0.5),
        (-0.1, 0.4, 0.0),
        (1.1, 0.4, 1.0),
    ],
)
def test_normalized_score_is_piecewise_linear(score: float, threshold: float, expected: float) -> None:
    assert normalized_score(score, threshold) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("threshold", [0.0, 1e-12, 0.1, 0.5, 1 - 2**-53, 1.0])
def test_the_decision_can_be_read_from_the_normalized_score(threshold: float) -> None:
    scores = sorted({0.0, 1e-300, 0.1, 0.5, 0.9, 1.0, threshold, *_neighbours(threshold)})
    values = [normalized_score(score, threshold) for score in scores]
    assert values == sorted(values)
    assert [value > 0.5 for value in values] == [score > threshold for score in scores]


def _neighbours(value: float) -> list[float]:
    near = [math.nextafter(value, 2.0), math.nextafter(value, -1.0)]
    return [number for number in near if 0 <= number <= 1]


def test_a_threshold_out_of_range_is_named() -> None:
    assert checked_threshold(0.25) == 0.25
    with pytest.raises(DmddError, match=r"--threshold is 1\.5.*0\.\.1"):
        checked_threshold(1.5)
    with pytest.raises(DmddError, match="--pixel-threshold is nan"):
        checked_threshold(math.nan, "--pixel-threshold")


def test_the_pixel_threshold_of_peaks_is_their_order_statistic_of_the_same_rank() -> None:
    scores = [i / 100 for i in range(19)]
    peaks = [0.9 - i / 100 for i in range(19)]  # in another order than the scores
    found = threshold_from_normals(scores, alpha=0.1, peaks=peaks)
    # ceil(20 * 0.9) = 18: the second largest of each.
    assert found.image == pytest.approx(0.17)
    assert found.pixel == pytest.approx(0.89)


def test_map_peak_is_the_mean_of_the_hundred_largest_values() -> None:
    values = np.random.default_rng(0).random((64, 64)).astype(np.float32)
    assert map_peak(values) == pytest.approx(float(np.sort(values.ravel())[-100:].mean()), rel=1e-6)
    assert map_peak(np.full((5, 5), 0.25, np.float32)) == 0.25


def test_a_map_that_is_not_a_number_is_an_error() -> None:
    with pytest.raises(DmddError, match="contains NaN"):
        threshold_from_normals([0.1, 0.2], peaks=[0.1, float("nan")])
