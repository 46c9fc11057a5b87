"""A run on its test images: the fixed names of the figures, what is skipped, what is missing."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from dmdd_edge.datasets import load_category
from dmdd_edge.errors import DmddError
from dmdd_edge.judging import evaluate_judge, judge_all, load_test_set
from dmdd_edge.preprocess import Preprocess
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.evaluation import figures, holdout_images, torch_judge
from dmdd_edge.train.session import evaluate_run

CPU = torch.device("cpu")

#: The names that the design fixes for metrics.json.
NAMES = [
    "category", "backbone", "image_size", "steps", "seed", "image_auroc", "pixel_auroc", "pro",
    "pro_per_image", "image_ap", "pixel_ap", "image_f1_max", "threshold", "per_defect", "train_seconds",
]  # fmt: skip


#: Those of them that are ratios.
RATIOS = ("image_auroc", "pixel_auroc", "pro", "pro_per_image", "image_ap", "pixel_ap", "image_f1_max")


def quiet(done: int, total: int) -> None:
    pass


def test_figures_have_the_fixed_names(tiny_outcome: Any) -> None:
    metrics = tiny_outcome.metrics
    assert [name for name in NAMES if name not in metrics] == []
    assert metrics["category"] == "plate"
    assert metrics["backbone"] == "timm:test_efficientnet"
    assert (metrics["image_size"], metrics["steps"], metrics["seed"]) == (64, 6, 3)
    assert set(metrics["per_defect"]) == {"chip", "dent", "missing_hole", "scratch", "stain"}
    for name in RATIOS:
        assert 0.0 <= metrics[name] <= 1.0, name
    assert metrics["train_seconds"] > 0
    json.dumps(metrics, allow_nan=False)


def test_figures_against_sklearn(tiny_outcome: Any, plates: Path) -> None:
    """Files read, judged and scored here by other means."""
    images, masks, labels = [], [], []
    for path in sorted((plates / "plate" / "test").rglob("*.png")):
        truth = plates / "plate" / "ground_truth" / path.parent.name / f"{path.stem}_mask.png"
        images.append(cv2.imread(str(path)))
        good = path.parent.name == "good"
        masks.append(np.zeros((64, 64), bool) if good else cv2.imread(str(truth), cv2.IMREAD_GRAYSCALE) > 127)
        labels.append(not good)
    with torch.no_grad():
        tensor = torch.from_numpy(np.stack(images)).permute(0, 3, 1, 2)
        found = tiny_outcome.run.model.eval()(tensor)
    maps, scores = found.maps.numpy(), found.scores.numpy()
    metrics = tiny_outcome.metrics
    assert len(labels) == 8
    assert metrics["image_auroc"] == pytest.approx(roc_auc_score(labels, scores), abs=1e-6)
    assert metrics["image_ap"] == pytest.approx(average_precision_score(labels, scores), abs=1e-6)
    pixel = roc_auc_score(np.stack(masks).ravel(), maps.ravel())
    assert metrics["pixel_auroc"] == pytest.approx(pixel, abs=1e-4)


def test_measuring_again_gives_the_same_figures(copied: Run, tiny_outcome: Any) -> None:
    seen: list[tuple[int, int]] = []
    found = evaluate_run(copied, None, CPU, lambda done, total: seen.append((done, total)))
    again, before = dict(found.metrics), dict(tiny_outcome.metrics)
    for name in ("image_auroc", "pixel_auroc", "pro", "threshold"):
        assert again.pop(name) == pytest.approx(before.pop(name), abs=1e-5)
    assert again["per_defect"].keys() == before["per_defect"].keys()
    assert seen[-1] == (8, 8)
    assert {path.name for path in found.files} == {"metrics.json", "score_histogram.png", "hardest_cases.png"}
    assert all(path.is_file() for path in found.files)


def test_another_data_folder_can_be_named(copied: Run, plates: Path) -> None:
    shutil.move(copied.config.data, copied.config.data.with_name("moved"))
    with pytest.raises(DmddError, match="no such folder"):
        evaluate_run(copied, None, CPU, quiet)
    # The threshold's images are known by their paths, which are gone with the folder.
    with pytest.raises(DmddError, match="held-out images are gone"):
        evaluate_run(copied, plates, CPU, quiet)


def test_held_out_images_that_are_gone_are_named(copied: Run) -> None:
    gone = Path(copied.info["holdout"][1])
    gone.unlink()
    with pytest.raises(DmddError) as error:
        holdout_images(copied)
    assert "1 of 3" in error.value.message
    assert str(gone) in error.value.message
    assert error.value.fix
    copied.info["holdout"] = []
    with pytest.raises(DmddError, match="held out no normal images") as error:
        holdout_images(copied)
    assert "--holdout" in (error.value.fix or "")


def test_broken_test_images_are_skipped_and_counted(copied: Run) -> None:
    folder = copied.config.data / "plate"
    (folder / "test" / "dent" / "000.png").write_bytes(b"\x89PNG cut off")
    (folder / "ground_truth" / "chip" / "000_mask.png").write_bytes(b"\x89PNG cut off")
    (folder / "ground_truth" / "stain" / "000_mask.png").unlink()
    found = evaluate_run(copied, None, CPU, quiet)
    assert {path.name for path, _ in found.skipped} == {"000.png", "000_mask.png"}
    per_defect = found.metrics["per_defect"]
    assert "dent" not in per_defect
    for defect in ("chip", "stain"):  # no mask: the image counts, its pixels do not
        assert per_defect[defect]["images"] == 1
        assert per_defect[defect]["pixel_auroc"] is None
    assert per_defect["scratch"]["pixel_auroc"] is not None


def test_no_readable_test_image_is_an_error(copied: Run) -> None:
    for path in (copied.config.data / "plate" / "test").rglob("*.png"):
        path.write_bytes(b"\x89PNG cut off")
    with pytest.raises(DmddError, match="none of the test images") as error:
        evaluate_run(copied, None, CPU, quiet)
    assert "test" in (error.value.fix or "")


def test_no_test_images_is_an_error(copied: Run) -> None:
    shutil.rmtree(copied.config.data / "plate" / "test")
    with pytest.raises(DmddError, match="no test images"):
        evaluate_run(copied, None, CPU, quiet)


def test_the_test_set_is_prepared_as_training_is(plates: Path) -> None:
    category = load_category(plates, "plate")
    test = load_test_set(category, Preprocess(rotate=90), 64)
    assert len(test.items) == 8
    assert test.labels.sum() == 5
    assert test.has_mask.all()
    assert not test.masks[~test.labels].any()
    item = int(np.flatnonzero(test.labels)[0])
    source = cv2.imread(str(test.items[item].path))
    mask = cv2.imread(str(test.items[item].mask), cv2.IMREAD_GRAYSCALE) > 127
    assert np.array_equal(test.images[item], np.rot90(source, -1))
    assert np.array_equal(test.masks[item], np.rot90(mask, -1))


def test_batches_change_nothing(tiny_outcome: Any) -> None:
    images = np.random.default_rng(0).integers(0, 256, (11, 64, 64, 3), np.uint8)
    judge = torch_judge(tiny_outcome.run.model)
    maps, scores = judge_all(judge, images)
    for index in (0, 7, 8, 10):
        one_map, one_score = judge(images[index : index + 1])
        np.testing.assert_allclose(maps[index], one_map[0], atol=1e-5)
        assert scores[index] == pytest.approx(float(one_score[0]), abs=1e-5)


def test_a_judge_that_sees_everything_is_perfect(plates: Path, tiny_outcome: Any) -> None:
    test = load_test_set(load_category(plates, "plate"), Preprocess(), 64)

    def truth(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        where = [int(np.flatnonzero((test.images == image).all((1, 2, 3)))[0]) for image in images]
        return test.masks[where].astype(np.float32), test.labels[where].astype(np.float32)

    found = evaluate_judge(truth, test)
    metrics = figures(tiny_outcome.run, found.metrics, 0.5)
    for name in RATIOS:
        assert metrics[name] == pytest.approx(1.0), name
    assert metrics["threshold"] == 0.5
