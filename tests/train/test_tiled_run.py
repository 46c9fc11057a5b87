"""A tiled run is evaluated on whole images: its threshold, its figures, its pages."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sklearn.metrics import average_precision_score, roc_auc_score

from dmdd_edge.bundle.threshold import map_peak, threshold_from_normals
from dmdd_edge.data.images import read_image
from dmdd_edge.evaluation.test_set import TestSet, evaluate_predictor, load_test_set
from dmdd_edge.evaluation.views import Views
from dmdd_edge.train.evaluation import holdout_images, run_images, threshold_and_odd
from dmdd_edge.train.made_damage import measure_damage
from dmdd_edge.train.places import category_of
from dmdd_edge.train.report.writing import write_report
from dmdd_edge.train.robustness import shares_above
from dmdd_edge.train.session import evaluate_run
from dmdd_edge.train.synthesis import nuisances

SIZE = 64


def darkness(tiles: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A map that is high where the tile is dark."""
    maps = (1 - tiles.astype(np.float32).mean(3) / 255) ** 2
    return maps, maps.max((1, 2))


def test_the_figures_of_a_tiled_test_set_are_those_of_its_joined_maps(tiled_run: Any) -> None:
    preprocess = tiled_run.config.preprocess
    test = load_test_set(category_of(tiled_run), preprocess, SIZE)
    evaluation = evaluate_predictor(darkness, test)
    # A map that depends on the pixel alone: joined, it is that of the whole view.
    views = [preprocess.prepare(read_image(item.path), SIZE) for item in test.items]
    maps = [darkness(view[None])[0][0] for view in views]
    assert evaluation.scores == pytest.approx([map_peak(item) for item in maps], abs=1e-5)
    assert evaluation.largest == pytest.approx(max(float(item.max()) for item in maps), abs=1e-5)
    assert evaluation.maps[4] == pytest.approx(maps[4], abs=1e-5)
    flat = np.concatenate([item.ravel() for item in maps])
    truth = np.concatenate([mask.ravel() for mask in test.masks])
    found = evaluation.metrics
    assert found.pixel_auroc == pytest.approx(roc_auc_score(truth, flat), abs=1e-4)
    assert found.pixel_ap == pytest.approx(average_precision_score(truth, flat), abs=1e-4)
    assert found.image_auroc == roc_auc_score(test.labels, evaluation.scores)
    assert found.per_defect["hole"].images == 3


def test_the_threshold_is_the_order_statistic_of_whole_images(tiled_run: Any) -> None:
    held_out = holdout_images(tiled_run)
    assert isinstance(held_out, Views)
    assert [view.shape[:2] for view in held_out] == [(200, 330), (180, 260)] * 2
    peaks = [map_peak(darkness(view[None])[0][0]) for view in held_out]
    threshold, _ = threshold_and_odd(tiled_run, darkness)
    assert threshold.image == pytest.approx(max(peaks), abs=1e-5)
    assert threshold.pixel == threshold.image  # the score is the peak of the joined map
    assert threshold.normals == 4


def test_nuisances_change_the_whole_view(tiled_run: Any) -> None:
    views = run_images(tiled_run, [Path(path) for path in tiled_run.info["train"]])
    assert isinstance(views, Views)
    brighter = views.changed(lambda view, index: nuisances.changed_one(view, nuisances.light, 0.9, 0, index))
    assert (brighter[1] == nuisances.light(views[1], 0.9, np.random.default_rng(0))).all()
    level = threshold_from_normals([map_peak(darkness(view[None])[0][0]) for view in views])
    shares = shares_above(darkness, views, level)
    assert shares["light -10 %"] == 1.0
    assert shares["light +10 %"] == 0.0


def test_a_tiled_run_is_evaluated_and_its_page_written(tiled_run: Any, tmp_path: Path) -> None:
    run = replace(tiled_run, folder=tmp_path)
    cpu = torch.device("cpu")
    measured = evaluate_run(run, None, cpu, lambda done, total: None)
    assert measured.metrics["per_defect"]["hole"]["images"] == 3
    assert measured.metrics["threshold"] == max(measured.threshold.scores)
    page = write_report(tmp_path / "page.html", run, measured, cpu).read_text()
    assert page.count("<img") >= 6
    assert (tmp_path / "hardest_cases.png").is_file()


def test_made_damage_of_a_tiled_run_is_on_whole_images(tiled_run: Any, tmp_path: Path) -> None:
    run = replace(tiled_run, folder=tmp_path)
    threshold, _ = threshold_and_odd(run, darkness)
    metrics, test, evaluation = measure_damage(run, darkness, threshold, lambda done, total: None)
    plain = holdout_images(run)
    spots = [index for index, kind in enumerate(test.defects) if kind == "spot"]
    assert len(spots) == 6
    for index in spots:
        view, mask = test.images[index], test.masks[index]
        assert mask.shape == view.shape[:2]
        changed = (view != plain[_source(test, index)]).any(2)
        assert changed.any()
        near = cv2.dilate(mask.astype(np.uint8), np.ones((5, 5), np.uint8)) > 0
        assert not (changed & ~near).any()
    assert metrics["at_threshold"]["false_alarms"] == 0
    assert len(evaluation.scores) == len(test.items)


def _source(test: TestSet, index: int) -> int:
    """The number of the held-out image that a damaged one is made from."""
    assert isinstance(test.images, Views)
    return test.images.paths[:4].index(test.images.paths[index])
