"""Parity's arithmetic on arrays made by hand, and what exceeds a limit."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.metrics import Metrics
from dmdd_edge.evaluation.test_set import Evaluation
from dmdd_edge.export.parity import LIMITS, ParityLimits, ParityRow, compare, require

WIDE = ParityLimits(map_max=1.0, score_max=1.0, figure=1.0)


def evaluation(maps: Any, scores: Any, **figures: float | None) -> Evaluation:
    values = {"image_auroc": 0.9, "pixel_auroc": 0.8, "pro": 0.7, **figures}
    metrics = Metrics(**values, pro_per_image=None, image_ap=None, pixel_ap=None, image_f1_max=None)
    return Evaluation(metrics, np.asarray(maps, np.float32), np.asarray(scores, np.float32))


def row(found: Evaluation, reference: Evaluation | None = None, **options: Any) -> ParityRow:
    zeros = evaluation(np.zeros((4, 5, 5)), [0.1, 0.2, 0.6, 0.7])
    options = {"threshold": 0.5, "limits": WIDE, "labeled": True, **options}
    return compare("a file", reference or zeros, found, **options)


def test_differences_by_hand() -> None:
    maps = np.zeros((4, 5, 5))
    maps[1, 2, 3] = -0.25
    maps[2, 0, 0] = 0.125
    found = row(evaluation(maps, [0.1, 0.55, 0.5, 0.7], image_auroc=0.85, pixel_auroc=0.8, pro=0.75))
    assert found.artifact == "a file"
    assert found.images == 4
    assert found.map_max == 0.25
    # 98 of 100 differences are 0; the 99th percentile lies 0.01 of the way from the 99th (0.125) to the last.
    assert found.map_p99 == pytest.approx(0.125 + 0.01 * 0.125)
    assert found.score_max == pytest.approx(0.35)
    assert found.flipped == 2  # 0.2 -> 0.55 and 0.6 -> 0.5, which is not above the threshold
    assert found.image_auroc == pytest.approx(-0.05)
    assert found.pixel_auroc == pytest.approx(0.0)
    assert found.pro == pytest.approx(0.05)


def test_the_score_that_is_the_threshold_has_nothing_to_flip() -> None:
    """The threshold is the largest held-out score: rounding decides on which side of it that image is."""
    reference = evaluation(np.zeros((3, 5, 5)), [0.1, 0.5, 0.49])
    found = evaluation(np.zeros((3, 5, 5)), [0.1, 0.5000003, 0.51])
    assert row(found, reference).flipped == 1  # 0.49 -> 0.51


def test_without_labels_there_are_no_figures() -> None:
    found = row(evaluation(np.zeros((4, 5, 5)), [0.1, 0.2, 0.6, 0.7], pro=0.0), labeled=False)
    assert (found.image_auroc, found.pixel_auroc, found.pro) == (None, None, None)
    assert found.problems() == []


def test_a_figure_that_is_undefined_on_both_sides_is_none() -> None:
    maps, scores = np.zeros((4, 5, 5)), [0.1, 0.2, 0.6, 0.7]
    reference = evaluation(maps, scores, pro=None)
    found = row(evaluation(maps, scores, pro=None), reference)
    assert found.pro is None
    assert found.image_auroc == 0.0


@pytest.mark.parametrize(
    ("change", "limit", "words"),
    [
        ({"map_max": 2e-4}, "fp32", ["map_max", "2.00e-04", "1e-04"]),
        ({"score_max": 2e-4}, "fp32", ["score_max"]),
        ({"map_max": 0.06}, "fp16", ["map_max"]),
        ({"score_max": 0.03}, "fp16", ["score_max"]),
        ({"image_auroc": -3e-4}, "fp32", ["image_auroc", "0.030 points"]),
        ({"pixel_auroc": -6e-4}, "fp16", ["pixel_auroc", "0.060 points", "0.05"]),
        ({"pro": -6e-4}, "fp16", ["pro"]),
        ({"map_max": float("nan")}, "fp32", ["map_max", "nan"]),
        ({"score_max": float("nan")}, "fp16", ["score_max", "nan"]),
        ({"pro": float("nan")}, "fp16", ["pro"]),
        ({"map_max": float("inf")}, "fp16", ["map_max"]),
    ],
)
def test_what_exceeds_a_limit_is_named(change: dict[str, float], limit: str, words: list[str]) -> None:
    good = ParityRow("onnxruntime", 4, 0.0, 0.0, 0.0, 0, 0.0, 0.0, 0.0, LIMITS[limit])
    require([good])
    bad = replace(good, **change)
    [problem] = bad.problems()
    assert [word for word in words if word not in problem] == []
    with pytest.raises(DmddError) as error:
        require([good, bad])
    assert problem in error.value.message
    assert "onnxruntime" in error.value.message
    assert "unchanged" in error.value.message
    assert error.value.fix
    assert ("Train longer" in (error.value.fix or "")) == (limit == "fp16")


def test_gains_and_differences_within_the_limits_pass() -> None:
    good = ParityRow("onnxruntime", 4, 9e-5, 1e-5, 9e-5, 1, 0.02, 0.01, -1e-4, LIMITS["fp32"])
    assert good.problems() == []


@pytest.mark.parametrize("where", ["maps", "scores"])
def test_values_that_are_no_numbers_fail(where: str) -> None:
    maps, scores = np.zeros((4, 5, 5)), np.array([0.1, 0.2, 0.6, 0.7])
    if where == "maps":
        maps[3, 1, 1] = np.nan
    else:
        scores[2] = np.nan
    found = row(evaluation(maps, scores))
    with pytest.raises(DmddError, match="nan"):
        require([found])


def test_fp32_allows_rounding_alone() -> None:
    """The limits that the issues state: maps within 1e-4, figures within 0.02 and 0.05 points."""
    assert LIMITS["fp32"].map_max <= 1e-4
    assert LIMITS["fp32"].figure <= 2e-4
    assert LIMITS["fp16"].figure <= 5e-4


def test_a_row_goes_into_the_manifest_whole() -> None:
    values = row(evaluation(np.zeros((4, 5, 5)), [0.1, 0.2, 0.6, 0.7])).as_dict()
    assert values["limits"] == {"map_max": 1.0, "score_max": 1.0, "figure": 1.0}
    assert values["images"] == 4
    assert {"map_max", "map_p99", "score_max", "flipped", "image_auroc", "pixel_auroc", "pro"} <= set(values)


@pytest.mark.parametrize(("swapped", "allowed"), [(2, True), (3, False)])
def test_rounding_may_swap_two_pairs_of_a_small_test_set(swapped: int, allowed: bool) -> None:
    """Of 12 good and 40 defective images a pair is 0.2 points, more than any limit allows."""
    row = ParityRow(
        artifact="a file",
        images=52,
        map_max=0.0,
        map_p99=0.0,
        score_max=0.0,
        flipped=0,
        image_auroc=-swapped / 480,
        pixel_auroc=0.0,
        pro=0.0,
        limits=LIMITS["fp32"],
        pairs=480,
    )
    assert (row.problems() == []) is allowed
