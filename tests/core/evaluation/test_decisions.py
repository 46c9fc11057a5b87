"""Decisions at a threshold, counted by hand, and what the promise of a threshold allows."""

from __future__ import annotations

import pytest
from scipy.stats import betabinom

from dmdd_edge.bundle.gate import Gate
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.evaluation.decisions import (
    band_promise_line,
    chance_of_alarms,
    decide,
    promise_line,
    result_lines,
)

SCORES = [0.1, 0.5, 0.7, 0.6, 0.4, 0.9, 0.5]
LABELS = [False, False, False, True, True, True, True]
GROUPS = ["good", "good", "good", "dent", "dent", "chip", "chip"]


def test_a_score_at_the_threshold_is_good() -> None:
    found = decide(SCORES, LABELS, GROUPS, 0.5)
    assert (found.found, found.defective, found.false_alarms, found.good) == (2, 4, 1, 3)
    above = {name: (group.above, group.images, group.defective) for name, group in found.groups.items()}
    assert above == {"good": (1, 3, False), "dent": (1, 2, True), "chip": (1, 2, True)}


def test_what_a_user_asks_comes_first() -> None:
    metrics = {"category": "plate", "at_threshold": decide(SCORES, LABELS, GROUPS, 0.5).as_dict()}
    assert result_lines(metrics) == [
        "plate: 2 of 4 defects found, 1 of 3 good parts rejected, at threshold 0.5000",
        "found: dent 1 of 2, chip 1 of 2",
    ]
    assert result_lines({"category": "plate", "at_threshold": None}) == []


def test_one_kind_alone_says_nothing_of_the_other() -> None:
    good = {"category": "plate", "at_threshold": decide(SCORES[:3], LABELS[:3], GROUPS[:3], 0.5).as_dict()}
    assert result_lines(good) == ["plate: 1 of 3 good parts rejected, at threshold 0.5000"]
    bad = {"category": "plate", "at_threshold": decide(SCORES[3:], LABELS[3:], GROUPS[3:], 0.5).as_dict()}
    assert result_lines(bad)[0] == "plate: 2 of 4 defects found, at threshold 0.5000"


def test_what_cannot_be_judged_is_neither_found_nor_rejected() -> None:
    found = decide(SCORES, LABELS, GROUPS, 0.5, [False, False, True, False, False, True, False])
    assert (found.found, found.false_alarms, found.unreliable) == (1, 0, 2)
    assert found.groups["chip"].unreliable == 1
    lines = result_lines({"category": "plate", "at_threshold": found.as_dict()})
    assert lines[-1].startswith("unreliable: 2 images cannot be judged")


@pytest.mark.parametrize(
    ("normals", "alpha", "a", "b"), [(99, 0.01, 1, 99), (199, 0.01, 2, 198), (6, 0.01, 1, 6)]
)
def test_the_chance_of_false_alarms_against_scipy(normals: int, alpha: float, a: int, b: int) -> None:
    """The threshold is the r-th of n scores: the share above it follows Beta(n + 1 - r, r)."""
    threshold = threshold_from_normals([k / 1000 for k in range(normals)], alpha)
    for alarms, good in ((0, 12), (1, 12), (3, 12), (40, 2000)):
        expected = betabinom.sf(alarms - 1, good, a, b)
        assert chance_of_alarms(alarms, good, threshold) == pytest.approx(expected, rel=1e-6)


def test_only_what_chance_does_not_explain_breaks_the_promise() -> None:
    threshold = threshold_from_normals([k / 1000 for k in range(99)])
    few = decide([0.0] * 99 + [0.5], [False] * 100, ["good"] * 100, threshold.image)
    line = promise_line(few, threshold)
    assert line is not None
    assert "at most 1 %" in line
    assert "seen: 1 %" in line
    assert line.endswith("seen: 1 %, within the promise")
    three = decide([0.5] * 3 + [0.0] * 97, [False] * 100, ["good"] * 100, threshold.image)
    assert (promise_line(three, threshold) or "").endswith("seen: 3 %, more, but chance may explain it")
    single = promise_line(few, threshold_from_normals([0.1]))
    assert "threshold from 1 good image, too few for 1 %)" in (single or "")
    many = decide([0.5] * 9 + [0.0], [False] * 10, ["good"] * 10, threshold.image)
    assert "more than chance explains" in (promise_line(many, threshold) or "")
    all_of_them = decide([0.5] * 10, [False] * 10, ["good"] * 10, threshold.image)
    assert "seen: 100 %" in (promise_line(all_of_them, threshold) or "")
    assert promise_line(decide([0.5], [True], ["dent"], threshold.image), threshold) is None


def test_a_band_and_a_smallest_area_decide_as_in_a_run() -> None:
    rule = EffectiveThreshold(0.6, 0.6, "calibration", 0.4, 0.4, Gate(min_area="10"))
    scores = [0.7, 0.7, 0.5, 0.3, 0.5, 0.7]
    reaches = [0.65, 0.5, 0.45, 0.9, 0.2, 0.1]
    labels = [True, True, True, False, False, False]
    found = decide(scores, labels, ["cut", "cut", "dent", "good", "good", "good"], rule, None, reaches)
    assert (found.found, found.suspect_defective, found.false_alarms, found.suspect_good) == (1, 2, 0, 0)
    assert (found.groups["cut"].above, found.groups["cut"].suspect, found.groups["dent"].suspect) == (1, 1, 1)
    assert found.threshold == 0.6
    lines = result_lines({"category": "screw", "at_threshold": found.as_dict()})
    assert lines[1] == "suspect, besides: 2 of 3 defects, 0 of 3 good parts"
    plain = decide(scores, labels, ["cut"] * 3 + ["good"] * 3, 0.6)
    assert (plain.found, plain.false_alarms) == (2, 1)
    assert "suspect" not in str(plain.as_dict())


def test_the_promise_of_a_band_counts_suspect_and_rejected_good_parts() -> None:
    threshold = threshold_from_normals([n / 1000 for n in range(100)], 0.01, suspect_rate=0.05)
    levels = (threshold.suspect, threshold.suspect)
    rule = EffectiveThreshold(threshold.image, threshold.image, "manifest", *levels)
    scores = [0.05] * 98 + [0.097, 0.5]  # one suspect, one anomalous
    found = decide(scores, [False] * 100, ["good"] * 100, rule)
    line = band_promise_line(found, threshold)
    assert line == ("promise: at most 5 % of good parts suspect or rejected; seen: 2 %, within the promise")
    many = decide([0.05] * 50 + [0.097] * 50, [False] * 100, ["good"] * 100, rule)
    assert "more than chance explains" in str(band_promise_line(many, threshold))
    assert band_promise_line(decide(scores, [False] * 100, ["good"] * 100, 0.1), threshold) is None
