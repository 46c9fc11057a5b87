from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable

import pytest

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import (
    calibration_path,
    effective_threshold,
    gated_counts,
    read_calibration,
    write_calibration,
)
from dmdd_edge.bundle.gate import Gate
from dmdd_edge.bundle.rule import EffectiveThreshold
from dmdd_edge.bundle.threshold import images_for_band, rank, threshold_from_normals

Write = Callable[..., Bundle]
#: A hundred scores, 0.001 to 0.1: ranks are easy to read from them.
HUNDRED = [number / 1000 for number in range(1, 101)]


def never(level: float) -> bool:
    raise AssertionError(f"asked for regions above {level} without a gate")


@pytest.mark.parametrize(
    ("score", "expected"),
    [
        (0.0, "good"),
        (0.4, "good"),
        (0.41, "suspect"),
        (0.6, "suspect"),
        (0.61, "anomalous"),
        (math.nan, "good"),
    ],
)
def test_suspect_is_above_the_lower_threshold_and_not_above_the_other(score: float, expected: str) -> None:
    rule = EffectiveThreshold(0.6, 0.6, "calibration", 0.4, 0.4)
    assert rule.decide(score, never) == expected


def test_without_a_band_nothing_is_suspect() -> None:
    rule = EffectiveThreshold(0.6, 0.6, "manifest")
    assert [rule.decide(score, never) for score in (0.5, 0.6, 0.61)] == ["good", "good", "anomalous"]


@pytest.mark.parametrize(
    ("score", "reach", "expected"),
    [
        (0.7, 0.65, "anomalous"),  # a large region above 0.6
        (0.7, 0.60, "suspect"),  # none above 0.6, one above 0.4
        (0.7, 0.40, "good"),  # nothing large above 0.4 either: the defect is a speck
        (0.5, 0.45, "suspect"),
        (0.5, 0.30, "good"),
        (0.3, 0.90, "good"),  # a region alone makes nothing suspect
    ],
)
def test_the_gate_asks_each_threshold_for_its_own_region(score: float, reach: float, expected: str) -> None:
    rule = EffectiveThreshold(0.6, 0.6, "calibration", 0.4, 0.4, Gate(min_area="10"))
    assert rule.decide_reach(score, reach) == expected


def test_the_gate_only_lowers_and_a_higher_score_or_reach_never_rates_better() -> None:
    order = ["good", "suspect", "anomalous"]
    plain = EffectiveThreshold(0.6, 0.55, "calibration", 0.4, 0.3)
    gated = EffectiveThreshold(0.6, 0.55, "calibration", 0.4, 0.3, Gate(min_area="10"))
    steps = [number / 20 for number in range(21)]
    for score, reach in itertools.product(steps, steps):
        found = order.index(gated.decide_reach(score, reach))
        assert found <= order.index(plain.decide_reach(score, reach))
        assert found <= order.index(gated.decide_reach(min(score + 0.05, 1), reach))
        assert found <= order.index(gated.decide_reach(score, min(reach + 0.05, 1)))


def test_two_rates_give_two_order_statistics() -> None:
    threshold = threshold_from_normals(HUNDRED, 0.01, suspect_rate=0.05)
    # ceil(101 * 0.99) = 100 and ceil(101 * 0.95) = 96.
    assert (threshold.image, threshold.suspect, threshold.suspect_rate) == (0.1, 0.096, 0.05)
    assert threshold.suspect_pixel is None
    assert "0.0960" in threshold.describe_band()
    assert "5 %" in threshold.describe_band()
    separate = threshold_from_normals(
        HUNDRED, 0.01, peaks=[0.5 + score for score in HUNDRED], suspect_rate=0.05
    )
    assert (separate.pixel, separate.suspect_pixel) == (0.6, 0.596)


def test_rates_that_the_images_cannot_tell_apart_are_refused_and_the_number_needed_is_right() -> None:
    assert images_for_band(0.01, 0.05) == 39  # 2 / 0.05 - 1: then the second highest
    with pytest.raises(DmddError, match="38 good images cannot tell rates of 5 % and 1 % apart") as caught:
        threshold_from_normals(HUNDRED[:38], 0.01, suspect_rate=0.05)
    assert "Give 39 images" in caught.value.fix
    found = threshold_from_normals(HUNDRED[:39], 0.01, suspect_rate=0.05)
    assert (found.suspect, found.image) == (0.038, 0.039)
    assert not found.holds  # 1 % needs 99, and that is said as before
    for low, high in ((0.01, 0.02), (0.02, 0.5), (0.1, 0.11)):
        needed = images_for_band(low, high)
        assert rank(needed, high) < rank(needed, low)
        assert rank(needed - 1, high) == rank(needed - 1, low)
        assert all(rank(n, high) < rank(n, low) for n in range(needed, needed + 500))


def test_equal_scores_give_no_band() -> None:
    with pytest.raises(DmddError, match="no part could be suspect"):
        threshold_from_normals([0.3] * 100, 0.01, suspect_rate=0.05)


@pytest.mark.parametrize("rate", [0.01, 0.005, 1.0, -1.0])
def test_the_lower_threshold_needs_the_higher_rate(rate: float) -> None:
    with pytest.raises(DmddError, match="--suspect-rate is"):
        threshold_from_normals(HUNDRED, 0.01, suspect_rate=rate)


def test_without_a_band_the_files_have_not_changed(write_bundle: Write) -> None:
    bundle = write_bundle()
    write_calibration(bundle, threshold_from_normals(HUNDRED), "good/")
    document = json.loads(calibration_path(bundle).read_text())
    assert sorted(document) == [
        *("backend", "category", "created", "skipped", "source", "threshold", "unreliable", "version")
    ]
    names = ["alpha", "attainable", "image", "needed", "normals", "pixel", "scores"]
    assert sorted(document["threshold"]) == names
    assert sorted(json.loads((bundle.path / "manifest.json").read_text())["threshold"]) == names
    found = effective_threshold(bundle)
    assert (found.suspect, found.has_band, bool(found.gate)) == (None, False, False)


def test_band_and_gate_are_kept_in_the_calibration(write_bundle: Write) -> None:
    bundle = write_bundle()
    band = threshold_from_normals(HUNDRED, suspect_rate=0.05)
    gate = Gate(min_area="2.5mm2", mm_per_px=0.05)
    rule = EffectiveThreshold(0.1, 0.1, "calibration", 0.096, 0.096, gate)
    reaches = [0.0] * 97 + [0.09, 0.0999, 0.2]
    counts = gated_counts(rule, HUNDRED, reaches)
    write_calibration(bundle, band, "good/", gate=gate, gated=counts)
    kept = read_calibration(bundle)
    assert kept is not None
    assert (kept.threshold.suspect, kept.gate) == (0.096, gate)
    # Above 0.096 are four scores; of those the last two have a region above 0.096. None is above 0.1.
    assert counts is not None
    assert (counts.above, counts.anomalous, counts.suspect_above, counts.suspect) == (0, 0, 4, 2)
    assert kept.gated == counts
    found = effective_threshold(bundle)
    assert (found.image, found.suspect, found.suspect_pixel) == (0.1, 0.096, 0.096)
    assert found.gate.smallest == pytest.approx(1000)
    assert effective_threshold(bundle, min_area="7px").gate.smallest == 7
    assert not effective_threshold(bundle, min_area=0).gate


def test_a_given_threshold_leaves_the_lower_one_where_it_is(write_bundle: Write) -> None:
    bundle = write_bundle()
    write_calibration(bundle, threshold_from_normals(HUNDRED, suspect_rate=0.05), "good/")
    higher = effective_threshold(bundle, image=0.4)
    assert (higher.image, higher.suspect, higher.origin) == (0.4, 0.096, "option")
    lower = effective_threshold(bundle, image=0.05)
    assert (lower.has_band, lower.decide(0.06, never)) == (False, "anomalous")
    given = effective_threshold(bundle, image=0.4, suspect=0.3)
    assert (given.suspect, given.suspect_pixel) == (0.3, 0.3)
    with pytest.raises(DmddError, match="no part could be suspect"):
        effective_threshold(bundle, suspect=0.1)
    with pytest.raises(DmddError, match=r"--suspect-threshold is 2"):
        effective_threshold(bundle, suspect=2)


def test_suspect_as_leaves_two_statuses(write_bundle: Write) -> None:
    bundle = write_bundle()
    write_calibration(bundle, threshold_from_normals(HUNDRED, suspect_rate=0.05), "good/")
    scores = (0.09, 0.097, 0.2)
    for given, expected in (
        (None, ["good", "suspect", "anomalous"]),
        ("good", ["good", "good", "anomalous"]),
        ("anomalous", ["good", "anomalous", "anomalous"]),
    ):
        found = effective_threshold(bundle, suspect_as=given)  # type: ignore[arg-type]
        assert [found.decide(score, never) for score in scores] == expected
    assert effective_threshold(bundle, suspect_as="anomalous").image == 0.096


def test_suspect_as_changes_nothing_without_a_band(write_bundle: Write) -> None:
    bundle = write_bundle()
    for given in ("good", "anomalous"):
        found = effective_threshold(bundle, suspect_as=given)  # type: ignore[arg-type]
        assert (found.image, found.suspect) == (0.5, None)


def test_the_lower_threshold_of_the_map_is_never_above_the_other(write_bundle: Write) -> None:
    bundle = write_bundle()
    write_calibration(bundle, threshold_from_normals(HUNDRED, suspect_rate=0.05), "good/")
    found = effective_threshold(bundle, pixel=0.02)
    assert (found.pixel, found.suspect_pixel) == (0.02, 0.02)
