"""One `train` as a whole: the run's folder, the log, sets without tests, TensorBoard."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.test_set import predict_all
from dmdd_edge.sample import write_sample
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.evaluation import torch_predictor
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.made_damage import as_json, damage_line
from dmdd_edge.train.run_folder import open_run, state_of
from dmdd_edge.train.session import train


@pytest.fixture
def unfinished(tiny_config: Callable[..., Any], tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "plate"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(tiny_config(steps=99).model_dump_json())
    (folder / "state.safetensors").write_bytes(b"")
    return folder


def test_a_new_run_takes_the_configuration_given(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    config = tiny_config()
    assert open_run(tmp_path / "plate", config, resume=False, overwrite=False) is config
    assert open_run(tmp_path / "plate", config, resume=False, overwrite=True) is config
    assert not (tmp_path / "plate").exists()


def test_an_existing_run_is_not_overwritten(
    tiny_config: Callable[..., Any], tiny_outcome: Any, unfinished: Path
) -> None:
    for folder, state in ((unfinished, "(unfinished)"), (tiny_outcome.run.folder, "(finished)")):
        before = sorted(folder.iterdir())
        with pytest.raises(DmddError) as error:
            open_run(folder, tiny_config(), resume=False, overwrite=False)
        assert str(folder) in error.value.message
        assert state in error.value.message
        fix = error.value.fix or ""
        assert [word for word in ("--resume", "--overwrite", "--run NAME") if word not in fix] == []
        assert sorted(folder.iterdir()) == before


def test_a_run_that_failed_before_its_first_step_is_replaced_unasked(
    tiny_config: Callable[..., Any], unfinished: Path
) -> None:
    (unfinished / "state.safetensors").unlink()
    config = tiny_config()
    assert open_run(unfinished, config, resume=False, overwrite=False) is config
    assert not unfinished.exists()


def test_overwriting_deletes_the_old_run(tiny_config: Callable[..., Any], unfinished: Path) -> None:
    config = tiny_config()
    assert open_run(unfinished, config, resume=False, overwrite=True) is config
    assert not unfinished.exists()


def test_a_folder_of_something_else_is_left_alone(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    (tmp_path / "thesis.tex").write_text("years of work")
    for overwrite in (False, True):
        with pytest.raises(DmddError, match="holds no run"):
            open_run(tmp_path, tiny_config(), resume=False, overwrite=overwrite)
    assert (tmp_path / "thesis.tex").read_text() == "years of work"


def test_resuming_takes_the_stored_configuration(
    tiny_config: Callable[..., Any], tiny_outcome: Any, unfinished: Path, tmp_path: Path
) -> None:
    assert open_run(unfinished, None, resume=True, overwrite=False).steps == 99
    changed = tiny_config(steps=99, workers=3)
    assert open_run(unfinished, changed, resume=True, overwrite=False) is changed
    with pytest.raises(DmddError, match="finished; there is nothing to resume"):
        open_run(tiny_outcome.run.folder, None, resume=True, overwrite=False)
    with pytest.raises(DmddError, match="no training run"):
        open_run(tmp_path / "nowhere", None, resume=True, overwrite=False)


def test_without_data_there_is_nothing_to_train(tmp_path: Path) -> None:
    with pytest.raises(DmddError) as error:
        open_run(tmp_path / "plate", None, resume=False, overwrite=False)
    assert "--data" in (error.value.fix or "")


def test_the_session_measures_and_logs(tiny_outcome: Any) -> None:
    folder = tiny_outcome.run.folder
    assert json.loads((folder / "metrics.json").read_text()) == tiny_outcome.metrics
    for picture in ("score_histogram.png", "hardest_cases.png"):
        assert folder / picture in tiny_outcome.images
        assert cv2.imread(str(folder / picture)) is not None
    log = (folder / "train.log").read_text()
    for said in (
        "mvtec layout",
        "held out for the threshold",
        "foreground:",
        "time:",
        "threshold ",
        "I-AUROC",
    ):
        assert said in log, said


def test_the_threshold_is_of_the_held_out_normals(tiny_outcome: Any) -> None:
    """Three normals are far too few for 1 %: the largest of their scores, worked out here from the files."""
    run = tiny_outcome.run
    images = np.stack([cv2.imread(path) for path in run.info["holdout"]])
    scores = predict_all(torch_predictor(run.model), images)[1]
    assert tiny_outcome.threshold.image == pytest.approx(float(scores.max()), abs=1e-6)
    assert tiny_outcome.threshold.normals == 3
    assert tiny_outcome.metrics["threshold"] == tiny_outcome.threshold.image


def test_a_plain_folder_without_tests_trains(
    tiny_config: Callable[..., Any], plates: Path, tmp_path: Path
) -> None:
    config = tiny_config(data=plates / "plate" / "train" / "good", category="parts", steps=2, head_steps=1)
    outcome = train(config, tmp_path / "parts", Listener(), resume=False, tensorboard=False)
    assert outcome.metrics is None
    assert outcome.threshold is not None
    assert outcome.category.layout == "folder"
    assert not (
        tmp_path / "parts" / "metrics.json"
    ).exists()  # synthetic damage never mixes with test figures
    assert [path.name for path in outcome.images] == [
        "made_damage.json", "made_damage_scores.png", "made_damage.png"
    ]  # fmt: skip
    made = json.loads((tmp_path / "parts" / "made_damage.json").read_text())
    assert made["of"] == "damage made on held-out good images"
    assert outcome.damage is not None
    counts = made["at_threshold"]
    assert (counts["good"], counts["false_alarms"]) == (3, 0)  # the threshold is the largest of their scores
    damaged = outcome.damage.test.labels
    above = outcome.damage.evaluation.scores > outcome.threshold.image
    assert (counts["found"], counts["defective"]) == (int(above[damaged].sum()), int(damaged.sum()))
    assert "scratch" in made["per_defect"]
    line = damage_line(made)
    assert line.startswith(
        f"parts: no test images; {counts['found']} of {counts['defective']} images with synthetic "
        "damage found, from 3 held-out good images"
    )
    document = as_json(made)
    assert document["image_auroc"] is document["pro"] is document["at_threshold"] is None
    assert document["per_defect"] == {}
    assert document["made_damage"] == made
    assert load_run(tmp_path / "parts").info["layout"] == "folder"


def test_without_held_out_images_there_is_no_threshold(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    config = tiny_config(holdout=0.0, steps=2, head_steps=1)
    outcome = train(config, tmp_path / "run", Listener(), resume=False, tensorboard=False)
    assert outcome.threshold is None
    assert outcome.metrics is not None
    assert outcome.metrics["threshold"] is None
    assert outcome.run.info["holdout"] == []


def test_broken_files_are_skipped_counted_and_named(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    root = tmp_path / "data"
    folder = write_sample(root, train=6, test_good=2, test_bad=1, size=64)
    (folder / "train" / "good" / "003.png").write_bytes(b"\x89PNG cut off")
    (folder / "test" / "dent" / "000.png").write_bytes(b"\x89PNG cut off")
    config = tiny_config(data=root, steps=2, head_steps=1)
    outcome = train(config, tmp_path / "run", Listener(), resume=False, tensorboard=False)
    assert len(outcome.run.info["train"]) + len(outcome.run.info["holdout"]) == 5
    # The test images are read first, so that what is wrong with them is known before the training.
    assert [Path(path).name for path, _ in outcome.run.info["skipped"]] == ["000.png", "003.png"]
    assert outcome.metrics is not None
    assert "dent" not in outcome.metrics["per_defect"]
    assert "scratch" in outcome.metrics["per_defect"]
    assert "003.png" in (tmp_path / "run" / "train.log").read_text()
    assert [path.name for path, _ in outcome.category.skipped] == ["000.png", "003.png"]
    assert outcome.metrics["data_set"]["test_defective"] == 5
    assert list(outcome.metrics["data_set"]["passed_over"].values()) == [2]
    assert outcome.run.info["data_set"]["folders"][0]["use"] == "training"


def test_tensorboard_gets_the_losses(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    pytest.importorskip("tensorboard")
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    config = tiny_config(steps=3, head_steps=2)
    train(config, tmp_path / "run", Listener(), resume=False, tensorboard=True)
    events = EventAccumulator(str(tmp_path / "run" / "tensorboard")).Reload()
    assert set(events.Tags()["scalars"]) == {"student/ngm", "student/aim", "head/seg"}
    assert [event.step for event in events.Scalars("student/ngm")] == [1, 2, 3]


@pytest.mark.parametrize("tested", [True, False])
def test_a_run_killed_after_its_model_was_written_is_completed(
    tested: bool, copied: Any, tmp_path: Path, tiny_config: Callable[..., Any]
) -> None:
    """What ``--resume`` owes then: the images out of place, the figures and the pictures, no training."""
    folder = copied.folder
    model = (folder / "model.safetensors").read_bytes()
    before = json.loads((folder / "metrics.json").read_text())
    for name in ("metrics.json", "score_histogram.png", "hardest_cases.png"):
        (folder / name).unlink()
    facts = json.loads((folder / "run.json").read_text())
    assert facts.pop("complete") is True
    del facts["outliers"]
    (folder / "run.json").write_text(json.dumps(facts | {"complete": False}))
    (folder / "state.safetensors").write_bytes(b"left behind")
    if not tested:
        shutil.rmtree(tmp_path / "data" / "plate" / "test")
    assert state_of(folder) == "trained"
    config = open_run(folder, None, resume=True, overwrite=False)
    outcome = train(config, folder, Listener(), resume=True, tensorboard=False)
    assert (folder / "model.safetensors").read_bytes() == model
    assert not (folder / "state.safetensors").exists()
    assert "outliers" in json.loads((folder / "run.json").read_text())
    assert state_of(folder) == "finished"
    if tested:
        assert outcome.metrics == before
        assert json.loads((folder / "metrics.json").read_text()) == before
        assert (folder / "hardest_cases.png").is_file()
    with pytest.raises(DmddError, match="nothing to resume"):
        open_run(folder, None, resume=True, overwrite=False)


def test_a_finished_run_of_an_earlier_version_is_finished(copied: Any) -> None:
    facts = json.loads((copied.folder / "run.json").read_text())
    del facts["complete"]
    (copied.folder / "run.json").write_text(json.dumps(facts))
    assert state_of(copied.folder) == "finished"
