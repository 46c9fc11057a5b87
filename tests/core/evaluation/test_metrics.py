"""The metrics against scikit-learn, and PRO against a slow one written from the definition."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from skimage.measure import label
from sklearn.metrics import average_precision_score, precision_recall_curve, roc_auc_score

from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.metrics import PRO_LIMIT, defect_pixel_figures, evaluate
from dmdd_edge.evaluation.ranking import Ranking


def slow_pro(maps, masks, limit=PRO_LIMIT):
    """PRO by its definition: every distinct value as a threshold, every region by itself."""
    regions = []
    for index, mask in enumerate(masks):
        labeled = label(mask, connectivity=2)
        regions += [(index, labeled == k) for k in range(1, labeled.max() + 1)]
    x: Any = [0.0]
    y: Any = [0.0]
    for threshold in np.unique(maps)[::-1]:
        found = maps >= threshold
        x.append(found[~masks].mean())
        y.append(np.mean([found[index][region].mean() for index, region in regions]))
    x, y = np.array(x), np.array(y)
    inside = x <= limit
    end = np.interp(limit, x, y)
    if not inside.all():  # the segment that crosses the limit, cut there
        k = np.flatnonzero(~inside)[0]
        end = y[k - 1] + (y[k] - y[k - 1]) * (limit - x[k - 1]) / (x[k] - x[k - 1])
    x, y = np.r_[x[inside], limit], np.r_[y[inside], end]
    return np.sum((x[1:] - x[:-1]) * (y[1:] + y[:-1]) / 2) / limit


def make(seed, levels=None, n=9, side=24):
    """Random maps with blobs, more than one region an image, touching at corners; ties when levels is set."""
    rng = np.random.default_rng(seed)
    defects = ["good"] * 3 + ["a"] * 3 + ["b"] * (n - 6)
    masks = np.zeros((n, side, side), bool)
    for mask in masks[3:]:
        for _ in range(rng.integers(1, 4)):
            y, x, h, w = (*rng.integers(0, side - 8, 2), *rng.integers(1, 8, 2))
            mask[y : y + h, x : x + w] = True
        mask[-2, -2] = mask[-1, -1] = True  # one region only by its corner
    maps = rng.random((n, side, side)) + masks * rng.random((n, 1, 1)) * 1.2
    if levels:
        maps = np.round(maps * levels) / levels
    maps = maps.astype(np.float32)
    scores = maps.reshape(n, -1).max(axis=1)
    if levels:
        scores = np.round(scores, 1)
    return scores, np.array([d != "good" for d in defects]), maps, masks, defects


@pytest.mark.parametrize("seed", [0, 1, 2])
@pytest.mark.parametrize("levels", [None, 40, 4, 1])
def test_agrees_with_references(seed, levels):
    scores, labels, maps, masks, defects = make(seed, levels)
    result = evaluate(scores, labels, maps, masks, defects)
    precision, recall, _ = precision_recall_curve(labels, scores)
    f1 = 2 * precision * recall / np.maximum(precision + recall, 1e-12)
    assert result.image_auroc == pytest.approx(roc_auc_score(labels, scores), abs=1e-12)
    assert result.image_ap == pytest.approx(average_precision_score(labels, scores), abs=1e-12)
    assert result.image_f1_max == pytest.approx(f1.max(), abs=1e-12)
    assert result.pixel_auroc == pytest.approx(roc_auc_score(masks.ravel(), maps.ravel()), abs=1e-9)
    assert result.pixel_ap == pytest.approx(average_precision_score(masks.ravel(), maps.ravel()), abs=1e-9)
    assert result.pro == pytest.approx(slow_pro(maps, masks), abs=1e-9)
    singles = [slow_pro(maps[i : i + 1], masks[i : i + 1]) for i in range(3, len(maps))]
    assert result.pro_per_image == pytest.approx(np.mean(singles), abs=1e-9)


def test_per_defect_is_that_type_and_all_good_images():
    scores, labels, maps, masks, defects = make(5, 20)
    result = evaluate(scores, labels, maps, masks, defects)
    assert list(result.per_defect) == ["a", "b"]
    for name, found in result.per_defect.items():
        chosen = np.array([d in ("good", name) for d in defects])
        assert found.images == 3
        assert found.image_auroc == pytest.approx(roc_auc_score(labels[chosen], scores[chosen]))
        assert found.pixel_auroc == pytest.approx(roc_auc_score(masks[chosen].ravel(), maps[chosen].ravel()))
        assert found.pro == pytest.approx(slow_pro(maps[chosen], masks[chosen]))


def test_pro_by_hand():
    # Ten normal pixels and two regions, of 1 and 2 pixels. Normal values 0.9 and 0.5 lie above some of them.
    # Falling threshold: region A found (y = 1/2) at rate 0; 0.9 raises the rate to 0.1; half of B at 0.7
    # (y = 3/4); 0.5 raises it to 0.2; the rest of B at 0.4 (y = 1).
    values = np.array([[0.95, 0.9, 0.7, 0.4, 0.5, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1, 0.1]], np.float32)
    mask = np.array([[1, 0, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0]], bool)
    area = 0.1 * 0.5 + 0.1 * 0.75 + 0.1 * 1.0
    result = evaluate([1.0], [True], values[None], mask[None], ["x"])
    assert result.pro == pytest.approx(area / 0.3)
    assert result.pro_per_image == pytest.approx(area / 0.3)


@pytest.mark.parametrize("value", [0.0, 0.5])
def test_constant_maps_are_chance(value):
    _, labels, maps, masks, defects = make(0)
    result = evaluate(np.full(9, value), labels, np.full_like(maps, value), masks, defects)
    assert result.image_auroc == result.pixel_auroc == 0.5
    assert result.pixel_ap == pytest.approx(masks.mean())
    assert result.pro == pytest.approx(0.15)  # the diagonal up to 0.3: 0.3 * 0.3 / 2 / 0.3
    assert result.pro_per_image == pytest.approx(0.15)


def test_perfect_and_inverted_maps():
    _, labels, _, masks, defects = make(0)
    right = evaluate(labels.astype(float), labels, masks.astype(np.float32), masks, defects)
    assert (right.image_auroc, right.pixel_auroc, right.pro, right.pro_per_image) == pytest.approx(
        (1, 1, 1, 1)
    )
    assert (right.image_ap, right.pixel_ap, right.image_f1_max) == pytest.approx((1, 1, 1))
    wrong = evaluate(~labels, labels, (~masks).astype(np.float32), masks, defects)
    assert (wrong.image_auroc, wrong.pixel_auroc, wrong.pro) == (0, 0, 0)


@pytest.mark.parametrize("kind", [False, True])
def test_one_kind_of_image_leaves_image_measures_undefined(kind):
    _, labels, maps, masks, defects = make(0)
    chosen = labels == kind
    names = [d for d, c in zip(defects, chosen, strict=True) if c]
    result = evaluate(chosen[chosen], labels[chosen], maps[chosen], masks[chosen], names)
    assert result.image_auroc is result.image_ap is result.image_f1_max is None
    assert (result.pixel_auroc is None) == (not kind)
    assert (result.pro is None) == (not kind)


def test_an_image_without_mask_counts_for_images_only():
    scores, labels, maps, masks, defects = make(3)
    known = np.ones(9, bool)
    known[4] = False
    unknown = masks.copy()
    unknown[4] = False
    result = evaluate(scores, labels, maps, unknown, defects, has_mask=known)
    without = evaluate(
        scores[known], labels[known], maps[known], masks[known], np.array(defects)[known].tolist()
    )
    assert result.image_auroc == pytest.approx(roc_auc_score(labels, scores))
    for name in ("pixel_auroc", "pixel_ap", "pro", "pro_per_image"):
        assert getattr(result, name) == pytest.approx(getattr(without, name))


def test_only_order_matters():
    scores, labels, maps, masks, defects = make(4, 30)
    once = evaluate(scores, labels, maps, masks, defects)
    again = evaluate(
        scores * 8 + 2, labels, maps * 8, masks, defects
    )  # exact in float32: no tie is made or lost
    assert once == again


def test_not_a_number_is_named():
    scores, labels, maps, masks, defects = make(0)
    maps[2, 3, 4] = np.nan
    with pytest.raises(DmddError, match="contain NaN"):
        evaluate(scores, labels, maps, masks, defects)


def test_arguments_that_do_not_fit():
    scores, labels, maps, masks, defects = make(0)
    with pytest.raises(ValueError, match="do not fit"):
        evaluate(scores[:-1], labels, maps, masks, defects)


@pytest.mark.parametrize("levels", [None, 4])
def test_the_pixels_figures_alone_are_those_of_the_whole(levels):
    """To the bit: what is chosen by them must not depend on how they were worked out."""
    scores, labels, maps, masks, defects = make(3, levels)
    whole = evaluate(scores, labels, maps, masks, defects).per_defect
    alone = defect_pixel_figures(maps, masks, defects, "good")
    assert alone == {name: (found.pixel_auroc, found.pro) for name, found in whole.items()}


def test_an_auroc_is_never_below_zero_by_rounding() -> None:
    # For some counts the equal shares add up to more than 1 in floating point; every normal ranks above.
    for count in range(1, 60):
        ranked = Ranking.of(np.zeros(count), [np.ones(3)])
        assert ranked is not None
        assert 0.0 <= ranked.auroc() < 1e-15
