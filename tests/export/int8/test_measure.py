"""What INT8 costs, by numbers worked out by hand."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from dmdd_edge.data.datasets import GOOD, TestImage
from dmdd_edge.evaluation.metrics import Metrics
from dmdd_edge.evaluation.test_set import Evaluation, TestSet
from dmdd_edge.export.int8.measure import Limits, Loss, crossed_rate, difference_error, loss, rank_correlation


def _set(good: int, bad: int) -> TestSet:
    items = [TestImage(Path("x"), GOOD, None)] * good + [TestImage(Path("y"), "spot", None)] * bad
    count = good + bad
    empty = np.zeros((count, 2, 2), np.bool_)
    return TestSet(items, np.zeros((count, 2, 2, 3), np.uint8), empty, np.ones(count, np.bool_))


def _evaluation(scores: list[float], figure: float) -> Evaluation:
    metrics = Metrics(figure, figure, figure, None, None, None, None)
    return Evaluation(metrics, np.zeros((len(scores), 2, 2), np.float32), np.array(scores, np.float32))


def test_the_rank_correlation_is_spearmans() -> None:
    assert rank_correlation([1, 2, 3], [10, 20, 400]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1.0)
    # 1 - 6 * (1 + 1) / (4 * 15), for one swapped pair of four
    assert rank_correlation([1, 2, 3, 4], [1, 3, 2, 4]) == pytest.approx(0.8)
    assert rank_correlation([1, 1, 2], [1, 1, 2]) == pytest.approx(1.0)
    assert rank_correlation([1, 2, 3], [5, 5, 5]) == 0.0


def test_false_alarms_are_those_above_the_threshold_of_the_other_half() -> None:
    # Halves 0.1, 0.3, 0.5 and 0.2, 0.4, 0.35: above 0.4 is 0.5; above 0.5 is nothing.
    assert crossed_rate(np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.35], np.float32)) == pytest.approx(1 / 6)
    assert crossed_rate(np.array([0.1], np.float32)) == 0.0


def test_a_loss_names_each_figure_beyond_its_limit() -> None:
    test = _set(100, 100)
    scores = [i / 200 for i in range(200)]
    exact, coarse = _evaluation(scores, 0.99), _evaluation(scores, 0.985)
    found = loss("made damage", test, exact, coarse, (0.6, 0.49))
    assert found.pixel_auroc == pytest.approx(-0.005)
    assert (found.false_alarms_fp32, found.false_alarms) == pytest.approx((0.0, 0.01))
    problems = found.problems(Limits())
    assert [text.split(" ")[2] for text in problems] == ["image_auroc", "pixel_auroc", "pro"]
    assert "falls by 0.50 points, 0.10 are allowed" in problems[1]
    assert found.problems(Limits().widened(0.5)) == []
    assert replace(found, rank=0.9).problems(Limits().widened(0.5)) != []
    assert replace(found, rank=float("nan")).problems(Limits().widened(0.5)) != []


def test_a_fall_of_i_auroc_within_its_standard_error_is_not_held_against_a_graph() -> None:
    # Of 3 x 2 pairs one is lost, by one good and one bad image: means (-1/3, 0) and (-1/2, 0, 0).
    test = _set(3, 2)
    scores = [0.1, 0.2, 0.5, 0.6, 0.7], [0.65, 0.2, 0.5, 0.6, 0.7]
    error = difference_error(*scores, test.labels)
    assert error == pytest.approx(math.sqrt(1 / 18 / 2 + 1 / 12 / 3))
    exact, coarse = (_evaluation(each, figure) for each, figure in zip(scores, (0.99, 0.985), strict=True))
    found = loss("made damage", test, exact, coarse)
    assert found.image_auroc_error == error

    def image_auroc(loss: Loss) -> list[str]:
        return [text for text in loss.problems(Limits()) if "image_auroc" in text]

    assert not image_auroc(found)  # 0.5 points, of 24 that such a set does not tell from chance
    assert image_auroc(replace(found, image_auroc=-0.02))  # but a point at most
    assert image_auroc(replace(found, image_auroc_error=0.001))
