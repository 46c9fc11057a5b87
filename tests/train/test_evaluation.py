"""A run on its test images: the fixed names of the figures, what is skipped, what is missing."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from dmdd_edge import EvaluateOptions, evaluate_detector
from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.datasets.folders import from_folders
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.evaluation.test_set import evaluate_predictor, load_test_set, predict_all
from dmdd_edge.sample import write_sample
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.evaluation import figures, holdout_images, torch_predictor
from dmdd_edge.train.places import moved
from dmdd_edge.train.report.writing import write_report
from dmdd_edge.train.session import evaluate_on, evaluate_run

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
    held: list[tuple[int, int]] = []
    found = evaluate_run(
        copied,
        None,
        CPU,
        lambda done, total: seen.append((done, total)),
        lambda done, total: held.append((done, total)),
    )
    again, before = dict(found.metrics), dict(tiny_outcome.metrics)
    for name in ("image_auroc", "pixel_auroc", "pro", "threshold"):
        assert again.pop(name) == pytest.approx(before.pop(name), abs=1e-5)
    assert again["per_defect"].keys() == before["per_defect"].keys()
    assert seen[-1] == (8, 8)
    assert held[-1] == (len(copied.info["holdout"]),) * 2
    assert {path.name for path in found.files} == {"metrics.json", "score_histogram.png", "hardest_cases.png"}
    assert all(path.is_file() for path in found.files)


def without_root(run: Run) -> Run:
    """The run as an older version wrote it: absolute paths, and no folder that they are relative to."""
    facts = run.folder / "run.json"
    stored = json.loads(facts.read_text())
    root = Path(stored.pop("root"))
    for name in ("train", "holdout"):
        stored[name] = [str(root / path) for path in stored[name]]
    facts.write_text(json.dumps(stored))
    return load_run(run.folder)


@pytest.mark.slow
@pytest.mark.parametrize("older", [False, True])
@pytest.mark.parametrize("named", ["the data set", "the category", "the category, renamed"])
def test_a_data_set_that_moved_gives_the_same_figures(
    older: bool, named: str, copied: Run, tiny_outcome: Any, tmp_path: Path
) -> None:
    run = without_root(copied) if older else copied
    place = shutil.move(run.config.data, tmp_path / "elsewhere" / "data")
    if named != "the data set":
        place = Path(place) / "plate"
    if named == "the category, renamed":
        place = place.rename(tmp_path / "parts")
    with pytest.raises(DmddError, match="no such folder"):
        evaluate_run(run, None, CPU, quiet)
    found = evaluate_run(run, Path(place), CPU, quiet).metrics
    for name in ("image_auroc", "pixel_auroc", "pro", "threshold"):
        assert found[name] == pytest.approx(tiny_outcome.metrics[name], abs=1e-5)


def test_run_json_names_one_folder_of_the_machine(copied: Run) -> None:
    stored = json.loads((copied.folder / "run.json").read_text())
    assert stored["root"] == str(copied.config.data / "plate")
    assert sorted(stored["train"] + stored["holdout"]) == [f"train/good/{n:03d}.png" for n in range(10)]
    named = copied.info["outliers"]["furthest"][0]["file"]
    assert Path(named).is_file()
    assert json.dumps(stored).count(str(copied.config.data)) == 1


def test_every_file_of_a_run_follows_its_data_set(copied: Run, tmp_path: Path) -> None:
    """Also those that are not read again; a file from elsewhere stays where it is."""
    place = Path(shutil.move(copied.config.data, tmp_path / "elsewhere"))
    copied.info["skipped"] = [
        [str(copied.config.data / "plate/train/good/x.png"), "empty"],
        ["/y.png", "cut"],
    ]
    copied.info["data_set"]["files"] = [{"file": copied.info["train"][0], "reason": "cut", "used": False}]
    run = moved(copied, place)
    assert run.info["data_set"]["files"][0]["file"] == run.info["train"][0]
    assert run.info["skipped"] == [[str(place / "plate/train/good/x.png"), "empty"], ["/y.png", "cut"]]
    listed = run.info["train"] + run.info["holdout"]
    listed += [item["file"] for item in run.info["outliers"]["furthest"]]
    assert len(listed) > 10
    assert [path for path in listed if not Path(path).is_file()] == []
    assert run.config.data == place
    for name in ("bolt", "nut"):
        write_sample(tmp_path / "other", name, train=2, test_good=1, test_bad=1, size=64)
    with pytest.raises(DmddError, match="no category 'plate'"):
        moved(copied, tmp_path / "other")


def test_held_out_images_that_are_gone_are_named(copied: Run) -> None:
    gone = Path(copied.info["holdout"][1])
    gone.unlink()
    with pytest.raises(DmddError) as error:
        holdout_images(copied)
    assert "1 of 3" in error.value.message
    assert str(gone) in error.value.message
    assert error.value.fix
    copied.info["holdout"] = []
    with pytest.raises(DmddError, match="held out no good images") as error:
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
    with pytest.raises(DmddError, match="None of the test images") as error:
        evaluate_run(copied, None, CPU, quiet)
    assert "test" in (error.value.fix or "")


def test_without_test_images_there_is_a_page_of_made_damage(copied: Run, tmp_path: Path) -> None:
    shutil.rmtree(copied.config.data / "plate" / "test")
    before = (copied.folder / "metrics.json").read_bytes()
    found = evaluate_run(copied, None, CPU, quiet)
    assert found.damage
    assert found.test.labels.sum() >= 12
    assert (copied.folder / "metrics.json").read_bytes() == before
    page = write_report(tmp_path / "page.html", copied, found, CPU).read_text()
    assert "There are no test images." in page
    assert "By kind of synthetic damage" in page
    assert "damaged images found" in page
    assert "Training images furthest out of place" in page
    assert "good test images" not in page.partition("<body>")[2].replace("all good test images", "")
    copied.info["holdout"] = []
    with pytest.raises(DmddError, match="no test images"):
        evaluate_run(copied, None, CPU, quiet)


def test_own_folders_leave_the_runs_figures_alone(copied: Run, tmp_path: Path) -> None:
    root = copied.config.data / "plate"
    category = from_folders(
        "plate", root / "test" / "good", root / "test" / "dent", root / "ground_truth" / "dent"
    )
    before = (copied.folder / "metrics.json").read_bytes()
    found, decisions = evaluate_on(copied, category, None, CPU, quiet)
    assert decisions is not None
    assert (decisions.good, decisions.defective) == (3, 1)
    assert found.metrics["pixel_auroc"] is not None
    assert (copied.folder / "metrics.json").read_bytes() == before


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
    judge = torch_predictor(tiny_outcome.run.model)
    maps, scores = predict_all(judge, images)
    for index in (0, 7, 8, 10):
        one_map, one_score = judge(images[index : index + 1])
        np.testing.assert_allclose(maps[index], one_map[0], atol=1e-5)
        assert scores[index] == pytest.approx(float(one_score[0]), abs=1e-5)


def test_a_judge_that_sees_everything_is_perfect(plates: Path, tiny_outcome: Any) -> None:
    test = load_test_set(load_category(plates, "plate"), Preprocess(), 64)

    def truth(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        where = [int(np.flatnonzero((test.images == image).all((1, 2, 3)))[0]) for image in images]
        return test.masks[where].astype(np.float32), test.labels[where].astype(np.float32)

    found = evaluate_predictor(truth, test)
    metrics = figures(tiny_outcome.run, found.metrics, 0.5)
    for name in RATIOS:
        assert metrics[name] == pytest.approx(1.0), name
    assert metrics["threshold"] == 0.5


def test_own_images_that_the_run_was_trained_on_are_not_tested(tiny_outcome: Any, tmp_path: Path) -> None:
    run = tiny_outcome.run
    trained, held_out = (Path(run.info[name][0]) for name in ("train", "holdout"))
    tests = [item.path for item in tiny_outcome.category.test]
    (tmp_path / "bad").mkdir()
    shutil.copy(tests[-1], tmp_path / "bad" / "0.png")
    shutil.copytree(tests[0].parent, tmp_path / "good")
    for name, path in (("a", trained), ("b", held_out)):
        (tmp_path / "good" / f"{name}.png").symlink_to(path)
        shutil.copy(path, tmp_path / "good" / f"{name}-copy.png")
    options = EvaluateOptions(
        run=str(run.folder.name),
        runs_dir=run.folder.parent,
        good=tmp_path / "good",
        bad=tmp_path / "bad",
        device="cpu",
    )
    found = evaluate_detector(options)
    assert found.metrics["at_threshold"]["good"] == 3
    assert any(
        "4 files: trained on or held out by this run, so not tested on" in line for line in found.remarks
    )
    with pytest.raises(DataError, match="all of these images"):
        evaluate_detector(replace(options, good=trained.parent, bad=None))
