"""The gate refuses a graph that was spoilt on purpose, and names the figures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmdd_edge import BundleError
from dmdd_edge.bundle.threshold import Threshold, threshold_from_normals
from dmdd_edge.data.datasets import GOOD, TestImage
from dmdd_edge.evaluation.test_set import Predictor, TestSet
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.choice import Choice
from dmdd_edge.export.int8.gate import MADE_DAMAGE, Verdict, decide
from dmdd_edge.export.int8.make import Made
from dmdd_edge.export.int8.places import interior
from dmdd_edge.export.int8.ranges import inputs_of
from dmdd_edge.export.int8.simulate import Simulation
from tests.export.detectors import detector, random_images

MADE = Made(0.75, (), 12, Choice((), ()), 1.0)


@pytest.fixture(scope="module")
def images() -> TestSet:
    """Ten images, and the same with a bright square each."""
    good = random_images(10)
    bad, masks = good.copy(), np.zeros((20, 64, 64), np.bool_)
    for index in range(10):
        place = slice(4 * index, 4 * index + 16)
        bad[index, place, place] = 255 - 10 * index
        masks[10 + index, place, place] = True
    items = [TestImage(Path(f"{i}"), GOOD if i < 10 else "square", None) for i in range(20)]
    return TestSet(items, np.concatenate([good, bad]), masks, np.ones(20, np.bool_))


def _verdict(ranges: Any, images: TestSet, allowed: float = 0.0) -> Verdict:
    model = detector()
    graph = DeploymentGraph(model)
    places = interior(graph)
    inputs = {name: both.plain for name, both in inputs_of(graph, places, ranges).items()}
    simulation = Simulation(graph, places, inputs)
    exact = Simulation(DeploymentGraph(model), (), {}).predictor()
    simulation.use([place.name for place in places])
    coarse = simulation.predictor()
    thresholds = _threshold(exact, images), _threshold(coarse, images)
    return decide((exact, coarse), thresholds, [(MADE_DAMAGE, images)], allowed)


def _threshold(predict: Predictor, images: TestSet) -> Threshold:
    good = np.stack([images.images[i] for i in range(10)])
    return threshold_from_normals([float(score) for score in predict(good)[1]])


def test_ranges_from_one_black_image_are_refused(images: TestSet) -> None:
    verdict = _verdict(np.zeros((1, 64, 64, 3), np.uint8), images)
    with pytest.raises(BundleError, match="INT8 costs too much here, with 75 %") as caught:
        verdict.require(MADE)
    assert "made damage: " in caught.value.message
    assert "rank correlation" in caught.value.message
    assert "--allow-accuracy-loss" in caught.value.fix


def test_an_allowed_loss_widens_the_limits_and_is_recorded(images: TestSet) -> None:
    verdict = _verdict(np.zeros((1, 64, 64, 3), np.uint8), images, allowed=100.0)
    verdict.require(MADE)
    stored = verdict.as_dict(MADE)
    assert stored["allowed_loss"] == 100.0
    assert stored["share"] == 0.75
    assert stored["losses"][0]["good"] == 10
