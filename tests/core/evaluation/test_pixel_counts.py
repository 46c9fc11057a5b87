"""Pixel measures from counts of values in bins, against the exact ones."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.data.datasets import TestImage
from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.metrics import Metrics, evaluate
from dmdd_edge.evaluation.test_set import CountedPixels, TestSet
from dmdd_edge.evaluation.value_bins import ValueBins
from dmdd_edge.evaluation.views import Masks

_NAMES = ["good", "good", "hole", "hole", "crack", "crack"]


def _maps(kind: str, seed: int) -> tuple[NDArray[np.float32], NDArray[np.bool_]]:
    """Six maps of 90 x 130 pixels, and their truth, with regions of very different size."""
    rng = np.random.default_rng(seed)
    masks = np.zeros((6, 90, 130), np.bool_)
    masks[2, 5:9, 5:9] = masks[2, 40:80, 30:90] = masks[3, 0:3, 60:64] = True
    masks[4, 20:70, 50:52] = masks[5, 88:90, 100:130] = True
    raised = rng.normal(0, 1, masks.shape) + 1.2 * masks
    maps = {
        "near 0": 1e-5 * np.exp(2 * raised),
        "near 1": 1 - 1e-4 * np.exp(-2 * raised),
        "narrow": 0.3 + 1e-3 * raised,
        "wide": 1 / (1 + np.exp(-2 * raised)),
        "few values": np.round(1 / (1 + np.exp(-raised)), 1),
    }[kind]
    return np.clip(maps, 0, 1).astype(np.float32), masks


@pytest.mark.parametrize("seed", [0, 1])
@pytest.mark.parametrize("kind", ["near 0", "near 1", "narrow", "wide", "few values"])
def test_counts_agree_with_the_exact_measures(kind: str, seed: int) -> None:
    maps, masks = _maps(kind, seed)
    known = np.array([True, True, True, True, True, False])
    items = [TestImage(Path(f"{index}.png"), name, None) for index, name in enumerate(_NAMES)]
    test = TestSet(items, np.zeros((6, 0, 0, 3), np.uint8), Masks.of(masks), known)
    counted = CountedPixels(test)
    for index, item in enumerate(maps):
        counted.add(index, item)
    scores = maps.max((1, 2))
    exact = evaluate(scores, test.labels, maps, masks, _NAMES, known)
    found = counted.metrics(scores)
    for name, figures in exact.per_defect.items():
        for field in ("pixel_auroc", "pro"):
            assert getattr(found.per_defect[name], field) == pytest.approx(getattr(figures, field), abs=1e-4)
    for field in Metrics.__dataclass_fields__:
        if field != "per_defect":
            assert getattr(found, field) == pytest.approx(getattr(exact, field), abs=1e-4), field
    assert counted.largest == maps.max()
    alone = evaluate(scores[2:3], [True], maps[2:3], masks[2:3], ["hole"])
    assert counted.aurocs[2] == pytest.approx(alone.pixel_auroc, abs=1e-4)
    assert 5 not in counted.aurocs


@pytest.mark.parametrize("first", [0.0, 0.3, 0.9999])
def test_bins_are_in_the_order_of_the_values(first: float) -> None:
    bins = ValueBins.of(np.full((20, 30), first, np.float32))
    values = np.array(
        [0, 1e-30, 2.0**-60, 1e-9, 1e-3, 0.25, 0.4999999, 0.5, 0.50001, 0.75, 0.999, 1 - 2.0**-24, 1],
        np.float32,
    )
    found = bins(values)
    assert (np.diff(found)[2:] > 0).all()
    assert found[0] == found[1] == 0
    assert found[-1] < bins.count < 600_000
    steps = np.linspace(0, 1, 200_001, dtype=np.float32)
    assert (np.diff(bins(steps)) >= 0).all()
    near = np.float32(first) + np.float32(1e-6)
    assert bins(np.float32([first]))[0] < bins(np.array([near]))[0]


def test_a_map_with_a_value_that_is_no_number_is_refused() -> None:
    test = TestSet(
        [TestImage(Path("a.png"), "good", None)],
        np.zeros((1, 0, 0, 3), np.uint8),
        Masks.of([np.zeros((4, 4), np.bool_)]),
        np.array([True]),
    )
    values = np.zeros((4, 4), np.float32)
    values[1, 2] = np.nan
    with pytest.raises(DmddError, match="NaN"):
        CountedPixels(test).add(0, values)
