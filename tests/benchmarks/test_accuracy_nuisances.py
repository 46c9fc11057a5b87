"""False alarms under nuisances, and at thresholds from few images, by hand."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from accuracy import nuisances, thresholds
from numpy.typing import NDArray

from tests.benchmarks.test_peers import peer_graph


def by_brightness(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    scores = images.mean((1, 2, 3)).astype(np.float32) / 255
    return np.zeros(images.shape[:3], np.float32), scores


def flat(levels: list[int]) -> NDArray[np.uint8]:
    return np.stack([np.full((32, 32, 3), level, np.uint8) for level in levels])


def test_only_what_exceeds_the_brightest_good_image_counts() -> None:
    found = nuisances.measure(by_brightness, flat([100, 110, 120]), flat([115, 119, 130, 140]))
    assert found["threshold"] == pytest.approx(120 / 255, abs=1e-4)
    assert (found["good"], found["damaged"]) == (3, 4)
    assert found["under"]["clean"] == {"false_alarms": 0.0, "found": 0.5}
    # 110, 121, 132 and 126.5, 131, 143, 154
    assert found["under"]["light +10 %"] == {"false_alarms": round(2 / 3, 4), "found": 1.0}
    # 90, 99, 108 and 103.5, 107, 117, 126
    assert found["under"]["light -10 %"] == {"false_alarms": 0.0, "found": 0.25}
    assert found["under"]["shift 1 %"] == found["under"]["clean"]
    assert "under_own" not in found


def test_the_share_above_the_threshold_of_the_run_stands_beside() -> None:
    found = nuisances.measure(by_brightness, flat([100, 110, 120]), flat([115, 119, 130, 140]), 116 / 255)
    assert found["own_threshold"] == pytest.approx(116 / 255, abs=1e-4)
    assert found["under"]["clean"] == {"false_alarms": 0.0, "found": 0.5}
    assert found["under_own"]["clean"] == {"false_alarms": round(1 / 3, 4), "found": 0.75}
    assert found["under_own"]["light -10 %"] == {"false_alarms": 0.0, "found": 0.5}


def test_models_of_anomalib_that_were_made_are_measured_too(tmp_path: Path) -> None:
    folder = tmp_path / "made" / "plate" / "padim"
    folder.mkdir(parents=True)
    onnx.save(peer_graph(256), str(folder / "model.onnx"))
    found = nuisances.peers_of(tmp_path, "plate")
    assert list(found) == ["PaDiM, 100 features, Lite0"]
    maps, scores = found["PaDiM, 100 features, Lite0"](flat([51, 102]))
    assert maps.shape == (2, 32, 32)
    np.testing.assert_allclose(scores, [0.2, 0.4], atol=1e-6)


def test_of_three_even_scores_the_highest_of_two_is_exceeded_by_one_in_three() -> None:
    found = thresholds.outcome(np.array([0.1, 0.2, 0.3], np.float32), 2, splits=600)
    assert found["promised"] == round(1 / 3, 4)
    assert found["mean"] == pytest.approx(1 / 3, abs=0.06)
    assert found["worst_tenth"] == 1.0


def test_the_promise_is_kept_whatever_the_scores_look_like() -> None:
    heavy = (np.random.default_rng(1).pareto(1.0, 3000) / 3000).clip(0, 1).astype(np.float32)
    for count in (5, 20, 150):
        found = thresholds.outcome(heavy, count)
        assert found["mean"] == pytest.approx(1 / (count + 1), rel=0.25)  # of 150 the 99 % rank is the last
