"""A tiled run becomes a bundle whose joined maps, threshold and tiling are the run's."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from dmdd_edge import Detector, EvaluateOptions, evaluate_detector
from dmdd_edge.cli.main import app
from dmdd_edge.data.images import read_image
from dmdd_edge.evaluation.test_set import TestSet, load_test_set
from dmdd_edge.evaluation.tiled import infer_tiles
from dmdd_edge.evaluation.views import Masks, Views
from dmdd_edge.export import pipeline
from dmdd_edge.export.pipeline import Exported
from dmdd_edge.export.triton import repository_from_bundle
from dmdd_edge.export.whole_parity import compare_whole, spread_set
from dmdd_edge.runtime.calibrate import calibrate
from dmdd_edge.runtime.evaluation import evaluate_bundle
from dmdd_edge.runtime.options.calibrate import CalibrateOptions
from dmdd_edge.train.evaluation import threshold_of, torch_predictor
from dmdd_edge.train.places import category_of

SIZE = 64


@pytest.fixture(scope="module")
def exported(tiled_run: Any, tiny_export: Exported, tmp_path_factory: pytest.TempPathFactory) -> Exported:
    def copied(graph: object, path: Path, size: int) -> None:  # the network is the same, and writing it slow
        shutil.copyfile(tiny_export.bundle.path / path.name, path)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pipeline, "write_onnx", copied)
        return pipeline.export_run(tiled_run.folder, tmp_path_factory.mktemp("exported") / "models")


def test_the_detector_gives_the_joined_map_of_torch(tiled_run: Any, exported: Exported) -> None:
    manifest = exported.bundle.manifest
    assert manifest.preprocess == tiled_run.config.preprocess
    assert manifest.threshold.image == manifest.threshold.pixel
    torch = torch_predictor(tiled_run.model)
    with Detector.load(exported.bundle.path, "cpu") as detector:
        for item in category_of(tiled_run).test:
            image = read_image(item.path)
            layout = manifest.preprocess.geometry(image.shape, SIZE).layout
            expected, score = infer_tiles(torch, manifest.preprocess.prepare(image, SIZE), layout)
            result = detector(image)
            assert result.anomaly_map.shape == image.shape[:2]
            assert np.abs(result.anomaly_map - expected).max() < 1e-4
            assert result.score == pytest.approx(score, abs=1e-4)
            assert result.status != "unreliable"
        threshold = threshold_of(tiled_run, torch)
        assert detector.threshold.image == pytest.approx(threshold.image, abs=1e-4)
        measured = evaluate_bundle(detector, category_of(tiled_run))
    assert measured.metrics["per_defect"]["hole"]["images"] == 3
    assert measured.decisions.unreliable == 0


def test_parity_is_of_tiles_and_of_whole_images(exported: Exported) -> None:
    fp32, fp16 = exported.parity
    assert fp32.images == fp16.images == 6
    assert 0 < fp32.map_max < 1e-4
    assert fp32.map_p99 <= fp32.map_max
    assert fp32.pairs == 9


def test_a_difference_in_one_tile_is_found(tiled_run: Any) -> None:
    test = load_test_set(category_of(tiled_run), tiled_run.config.preprocess, SIZE)
    images = test.images
    assert isinstance(images, Views)

    def plain(tiles: Any) -> Any:
        maps = tiles.astype(np.float32).mean(3) / 255
        return maps, maps.max((1, 2))

    def with_a_fault(tiles: Any) -> Any:
        maps, scores = plain(tiles)
        maps[0, 3, 5] += 0.25  # at a tile's edge, where its weight is small
        return maps, scores

    evaluations, differences = compare_whole({"torch": plain, "other": with_a_fault}, images, test)
    assert differences["other"][0] == pytest.approx(0.25)
    assert differences["other"][1] == 0
    assert evaluations["torch"].metrics.image_auroc is not None


def test_few_images_are_compared_of_many() -> None:
    from dmdd_edge.data.datasets import TestImage
    from dmdd_edge.data.preprocess import Preprocess

    kinds = ["good"] * 50 + ["hole"] * 5
    items = [TestImage(Path(f"{number}.png"), kind, None) for number, kind in enumerate(kinds)]
    views = Views(tuple(item.path for item in items), Preprocess(), SIZE)
    masks = Masks.of([np.zeros((2, 2), np.bool_)] * 55)
    shapes = tuple((number, number) for number in range(55))
    test = TestSet(items, views, masks, np.ones(55, np.bool_), shapes)
    some = spread_set(test)
    assert len(some.items) == 24
    assert int(some.labels.sum()) == 5
    assert isinstance(some.images, Views)
    assert some.images.paths == tuple(item.path for item in some.items)
    assert some.items[0].path.name == "0.png"
    assert some.items[18].path.name == "49.png"


def test_calibration_takes_the_scores_of_whole_images(
    tiled_run: Any, exported: Exported, tmp_path: Path
) -> None:
    models = tmp_path / "models"
    shutil.copytree(exported.bundle.path.parent, models / "plate")
    good = Path(tiled_run.info["train"][0]).parent
    with Detector.load(models / "plate", "cpu", verify=False) as detector:
        scores = [detector(path).score for path in sorted(good.iterdir())]
    options = CalibrateOptions(source=str(good), models_dir=models, backend="cpu")
    outcome = calibrate(options, confirm=lambda doubts: None)
    assert outcome.threshold.normals == 6
    assert outcome.threshold.image == pytest.approx(max(scores), abs=1e-6)
    assert outcome.threshold.pixel == outcome.threshold.image
    assert outcome.scores.peaks == pytest.approx(outcome.scores.scores, abs=1e-6)


def test_a_bundle_and_its_triton_model_say_how_they_are_tiled(exported: Exported, tmp_path: Path) -> None:
    folder = repository_from_bundle(exported.bundle, tmp_path)
    assert (
        "64 px, overlapping by 16 px; score: peak of the joined map" in (folder / "config.pbtxt").read_text()
    )
    models = exported.bundle.path.parent.parent
    shown = CliRunner().invoke(app, ["models", "show", "--models-dir", str(models)]).output
    assert "64 px, overlapping by 16 px" in shown


def test_a_tiled_bundle_is_evaluated_on_folders_with_a_page(
    tiled_run: Any, exported: Exported, tmp_path: Path
) -> None:
    root = tiled_run.config.data / "plate" / "test"
    result = evaluate_detector(
        EvaluateOptions(
            model=exported.bundle.path,
            good=root / "good",
            bad=root / "hole",
            backend="cpu",
            report=tmp_path / "page.html",
        )
    )
    assert result.metrics["at_threshold"]["good"] == 3
    assert (tmp_path / "page.html").read_text().count("<img") >= 6
