"""The drawn curves are those of the figures: exact areas, right ends, and a thinned line that keeps both."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from sklearn.metrics import roc_curve

from dmdd_edge.data.datasets import TestImage
from dmdd_edge.evaluation.metrics import PRO_LIMIT, Metrics, evaluate
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.test_set import Evaluation, TestSet
from dmdd_edge.train.report.curves import area, curve, image_ranking, pixel_rankings, thinned, up_to


def ranking(anomalous: list[float], normals: list[float], weights: list[float] | None = None) -> Ranking:
    found = Ranking.of(
        np.array(anomalous), [np.sort(np.array(normals))], None if weights is None else np.array(weights)
    )
    assert found is not None
    return found


def test_a_curve_by_hand() -> None:
    """Anomalous 3 and 1, normal 2 and 0: up to a half, across to a half, up to one, across to the end."""
    x, y = curve(ranking([1.0, 3.0], [2.0, 0.0]))
    points = list(dict.fromkeys(zip(x.tolist(), y.tolist(), strict=True)))
    assert points == [(0.0, 0.0), (0.0, 0.5), (0.5, 0.5), (0.5, 1.0), (1.0, 1.0)]
    assert area((x, y)) == pytest.approx(0.75)


def test_equal_values_make_a_slope_and_weights_count() -> None:
    x, y = curve(ranking([1.0, 1.0], [1.0, 1.0]))
    assert area((x, y)) == pytest.approx(0.5)
    x, y = curve(ranking([3.0, 1.0], [2.0, 2.0], [3.0, 1.0]))
    assert (0.0, 0.75) in set(zip(x.tolist(), y.tolist(), strict=True))
    assert (x[0], y[0], x[-1], y[-1]) == (0.0, 0.0, 1.0, 1.0)


@pytest.mark.parametrize("levels", [5, 10**6])
def test_curves_against_sklearn_and_the_figures(levels: int) -> None:
    rng = np.random.default_rng(levels)
    labels = rng.random(400) < 0.3
    scores = np.round((rng.normal(0, 1, 400) + labels) * levels) / levels
    found = image_ranking(scores, labels)
    assert found is not None
    x, y = curve(found)
    assert area((x, y)) == pytest.approx(found.auroc(), abs=1e-12)
    for limit in (0.1, 0.3):
        cut = up_to((x, y), limit)
        assert cut[0][-1] == limit
        assert area(cut) / limit == pytest.approx(found.area_up_to(limit), abs=1e-12)
    theirs = roc_curve(labels, scores, drop_intermediate=False)
    ours = set(zip(np.round(x, 9).tolist(), np.round(y, 9).tolist(), strict=True))
    missing = set(zip(np.round(theirs[0], 9).tolist(), np.round(theirs[1], 9).tolist(), strict=True)) - ours
    # A threshold that finds nothing new lies on a horizontal line of ours, between two of its points.
    assert all(any(a <= fx for a, b in ours if b == fy) for fx, fy in missing)
    assert all(any(a >= fx for a, b in ours if b == fy) for fx, fy in missing)


def test_thinning_keeps_the_ends_and_the_shape() -> None:
    rng = np.random.default_rng(0)
    labels = rng.random(20000) < 0.5
    found = image_ranking(rng.normal(0, 1, 20000) + 1.5 * labels, labels)
    assert found is not None
    for limit, width in ((1.0, 1.0), (0.3, 0.3)):
        whole = up_to(curve(found), limit)
        few = thinned(whole, width)
        assert len(few[0]) < 400 < len(whole[0])
        assert few[0][0] == few[1][0] == 0.0
        assert few[0][-1] == pytest.approx(limit)
        assert few[1][-1] == pytest.approx(whole[1][-1], abs=1e-3)
        assert area(few) == pytest.approx(area(whole), abs=4e-3 * width)
        assert (np.diff(few[0]) >= 0).all()
        assert (np.diff(few[1]) >= 0).all()


def test_pixel_curves_have_the_area_of_the_figures() -> None:
    rng = np.random.default_rng(1)
    masks = np.zeros((6, 32, 32), np.bool_)
    masks[1, 2:9, 3:9] = masks[1, 20:22, 20:30] = masks[2, 10:30, 10:12] = masks[3, 0:4, 0:4] = True
    maps = np.round(rng.random(masks.shape) + 0.4 * masks, 2).astype(np.float32)
    names = ["good", "hole", "hole", "crack", "crack", "good"]
    known = np.array([True, True, True, True, False, True])  # the fifth image's truth is not known
    items = [TestImage(Path(f"{k}.png"), name, None) for k, name in enumerate(names)]
    test = TestSet(items, np.zeros((6, 32, 32, 3), np.uint8), masks, known)
    metrics = evaluate(maps.max((1, 2)), test.labels, maps, masks, names, known)
    pixels, regions = pixel_rankings(test, Evaluation(metrics, maps, maps.max((1, 2))))
    assert pixels is not None
    assert regions is not None
    assert area(curve(pixels)) == pytest.approx(metrics.pixel_auroc, abs=1e-9)
    assert area(up_to(curve(regions), PRO_LIMIT)) / PRO_LIMIT == pytest.approx(metrics.pro, abs=1e-9)


def test_without_anomalous_pixels_there_is_no_curve() -> None:
    items = [TestImage(Path("a.png"), "good", None)]
    masks = np.zeros((1, 8, 8), np.bool_)
    test = TestSet(items, np.zeros((1, 8, 8, 3), np.uint8), masks, np.array([True]))
    nothing = Metrics(*[None] * 7)
    empty = Evaluation(nothing, np.zeros((1, 8, 8), np.float32), np.zeros(1, np.float32))
    assert pixel_rankings(test, empty) == (None, None)
    assert image_ranking(np.array([0.5], np.float32), np.array([False])) is None
