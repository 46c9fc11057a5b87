"""Whole training runs on drawn plates: what they leave behind, and that they repeat to the bit."""

from __future__ import annotations

import json
import math
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from dmdd_edge.data.datasets import load_category
from dmdd_edge.errors import DmddError
from dmdd_edge.train import checkpoint
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.devices import choose_device
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.schedule import Progress
from dmdd_edge.train.steps import describe_split
from dmdd_edge.train.trainer import Trainer


class Watching(Listener):
    """Keeps what the trainer tells."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.steps: list[tuple[str, int, dict[str, float]]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    note = say

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        self.steps.append((phase, progress.step, losses))


def run(config: Any, folder: Path, listener: Listener | None = None, resume: bool = False) -> checkpoint.Run:
    category = load_category(config.data, config.category)
    return Trainer(config, category, folder, listener or Listener(), resume=resume).run()


def test_the_folder_holds_what_the_next_stages_need(tiny_outcome: Any) -> None:
    folder = tiny_outcome.run.folder
    names = {path.name for path in folder.iterdir()}
    assert {"config.json", "run.json", "teacher.safetensors", "model.safetensors", "train.log"} <= names
    assert "state.safetensors" not in names
    assert not {name for name in names if name.endswith(".part")}
    facts = json.loads((folder / "run.json").read_text())
    assert facts["steps"] == 6
    assert facts["layout"] == "mvtec"
    train, holdout = set(facts["train"]), set(facts["holdout"])
    assert len(train) == 7
    assert len(holdout) == 3  # 30 % of 10
    assert not train & holdout
    assert all((Path(facts["root"]) / path).is_file() for path in train | holdout)
    assert facts["created_with"]["torch"] == torch.__version__
    assert {"read", "foreground", "teacher cache", "teacher", "student", "head"} <= set(facts["seconds"])
    model = tiny_outcome.run.model
    counted = sum(p.numel() for part in (model.student, model.head) for p in part.parameters())
    assert facts["parameters"] == counted


def test_the_checkpoint_is_plain_tensors_without_the_teacher(tiny_outcome: Any) -> None:
    tensors = load_file(tiny_outcome.run.folder / "model.safetensors")
    assert {name.split(".")[0] for name in tensors} == {"student", "head"}
    teacher = load_file(tiny_outcome.run.folder / "teacher.safetensors")
    assert all(name.startswith("stages.") for name in teacher)


@torch.no_grad()
def test_a_loaded_run_predicts_the_same(tiny_outcome: Any) -> None:
    loaded = load_run(tiny_outcome.run.folder)
    assert loaded.config == tiny_outcome.run.config
    assert loaded.info == tiny_outcome.run.info
    images = torch.randint(0, 256, (3, 3, 64, 64), dtype=torch.uint8)
    ours, theirs = loaded.model(images), tiny_outcome.run.model.eval()(images)
    torch.testing.assert_close(ours.maps, theirs.maps, atol=1e-6, rtol=1e-5)
    torch.testing.assert_close(ours.scores, theirs.scores, atol=1e-6, rtol=1e-5)
    assert not loaded.model.training


@pytest.mark.slow
def test_training_learns(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    """Both branches' losses fall, and the teacher is the one that was given."""
    watching = Watching()
    config = tiny_config(steps=30, batch_size=4, head_steps=40)
    run(config, tmp_path / "run", watching)
    for phase, name in (("student", "ngm"), ("student", "aim"), ("head", "seg")):
        values = [losses[name] for kind, _, losses in watching.steps if kind == phase]
        assert np.mean(values[-5:]) < 0.9 * np.mean(values[:3]), name
    given = torch.load(config.weights, weights_only=True)["conv_stem.weight"]
    teacher = load_file(tmp_path / "run" / "teacher.safetensors")
    kept = next(value for value in teacher.values() if value.shape == given.shape)
    assert torch.equal(kept, given.flip(1))


def test_the_same_seed_gives_the_same_bits(
    tiny_config: Callable[..., Any], tiny_outcome: Any, tmp_path: Path
) -> None:
    """Also with another number of threads, and with the features of the normals computed anew."""
    expected = (tiny_outcome.run.folder / "model.safetensors").read_bytes()
    run(tiny_config(workers=3), tmp_path / "again")
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == expected
    run(tiny_config(seed=4), tmp_path / "other")
    assert (tmp_path / "other" / "model.safetensors").read_bytes() != expected


def test_the_global_generator_does_not_matter(
    tiny_config: Callable[..., Any], tiny_outcome: Any, tmp_path: Path
) -> None:
    torch.manual_seed(12345)
    np.random.seed(1)
    run(tiny_config(), tmp_path / "again")
    expected = (tiny_outcome.run.folder / "model.safetensors").read_bytes()
    assert (tmp_path / "again" / "model.safetensors").read_bytes() == expected


def test_features_over_the_budget_train_as_well(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    watching = Watching()
    found = run(tiny_config(cache_mb=0, steps=2, head_steps=1), tmp_path / "run", watching)
    assert found.info["steps"] == 2
    assert any("computed each time" in line for line in watching.said)


@pytest.mark.parametrize(
    ("phase", "expected"),
    [("end", ["student"] * 5 + ["head"] * 6), ("epoch", ["student"] * 3 + ["head", "student", "student"])],
)
def test_when_the_head_learns(
    phase: str, expected: list[str], tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    """Seven images in batches of two are four steps an epoch; the head learns with the last of them."""
    watching = Watching()
    run(tiny_config(steps=5, head_phase=phase), tmp_path / "run", watching)
    assert [kind for kind, _, _ in watching.steps] == expected
    assert any("time:" in line and "head" in line for line in watching.said)


def test_the_summed_maps_need_no_head(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    watching = Watching()
    for phase in ("end", "epoch"):
        config = tiny_config({"head": "sum", "branches": "normality"}, head_phase=phase, steps=5)
        run(config, tmp_path / phase, watching)
    assert {kind for kind, _, _ in watching.steps} == {"student"}
    assert all(set(losses) == {"ngm"} for _, _, losses in watching.steps)


def test_the_scaled_maps_know_the_normal_images_alone(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    """Their levels are of the images learnt from, worked out here from the finished student."""
    watching = Watching()
    found = run(tiny_config({"head": "scaled"}), tmp_path / "run", watching)
    assert {kind for kind, _, _ in watching.steps} == {"student"}
    model = load_run(tmp_path / "run").model
    images = np.stack([cv2.imread(path) for path in found.info["train"]])
    x = model.normalize(torch.from_numpy(images).permute(0, 3, 1, 2))
    with torch.no_grad():
        maps = model.distances(model.teacher(x), model.student(x))
        peaks = model.head.peaks(model.head.stack(maps))
        model.head.join_score(joined=False)
        scores = model.head(maps)[1]
    torch.testing.assert_close(model.head.level, peaks.mean(0), rtol=1e-3, atol=3e-5)
    # The average normal image has the middle score, where it is the mean of the peaks.
    assert float(scores.mean()) == pytest.approx(0.5, abs=0.05)
    # What each map weighs is kept with the run, as the numbers that the map is made with.
    chosen = found.info["map_weights"]
    stages = torch.tensor(chosen["stages"])
    weights = torch.cat([stages, chosen["abnormality"] * stages])
    torch.testing.assert_close(model.head.map_share[:8], weights / weights.sum())
    assert not model.head.map_share[8:].any()  # nearest usual feature: of the score alone
    assert any("weights of the map" in line for line in watching.said)


def test_weights_that_are_set_are_not_chosen(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    set_all = {
        "head": "scaled",
        "stage_weights": (3.0, 1.0, 1.0, 1.0),
        "abnormality_weight": 0.5,
        "density": "off",
        "prototypes": "off",
        "joined_score": "off",
    }
    found = run(tiny_config(set_all, steps=2), tmp_path / "run")
    assert found.info["map_weights"] is None
    model = load_run(tmp_path / "run").model
    weights = torch.tensor([3.0, 1.0, 1.0, 1.0, 1.5, 0.5, 0.5, 0.5])
    for share in (model.head.share, model.head.map_share):
        torch.testing.assert_close(share, weights / weights.sum())


def test_without_held_out_images_the_learnt_ones_choose(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    found = run(tiny_config({"head": "scaled"}, steps=2, holdout=0.0), tmp_path / "run")
    assert found.info["map_weights"]["images"] > 0


def test_two_images_are_enough(tiny_config: Callable[..., Any], tmp_path: Path, plates: Path) -> None:
    """One to learn from, one held out: no spread can be told, and still every number is one."""
    folder = tmp_path / "two"
    folder.mkdir()
    for name in ("000.png", "001.png"):
        shutil.copy(plates / "plate" / "train" / "good" / name, folder / name)
    config = tiny_config({"head": "scaled"}, data=folder, category="two", steps=2)
    model = run(config, tmp_path / "run").model
    with torch.no_grad():
        found = model.eval()(torch.zeros(1, 3, 64, 64, dtype=torch.uint8))
    assert torch.isfinite(found.maps).all()
    assert 0.0 <= float(found.scores[0]) <= 1.0


def test_a_run_that_diverges_says_what_to_do(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="Training diverged") as error:
        run(tiny_config(lr=1e30, steps=20), tmp_path / "run")
    assert "--lr" in (error.value.fix or "")
    assert not (tmp_path / "run" / "model.safetensors").exists()


def test_the_time_split_adds_up() -> None:
    line = describe_split({"student": 6.0, "head": 2.0}, 10.0)
    assert line == "time: 10.0 s in total: student 6.0 s (60%), head 2.0 s (20%)"


def test_a_gpu_that_is_not_there_is_refused() -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a GPU here")
    assert choose_device("auto").type == "cpu"
    for name in ("cuda", "cuda:1"):
        with pytest.raises(DmddError, match="no CUDA GPU") as error:
            choose_device(name)
        assert "--device cpu" in (error.value.fix or "")
    with pytest.raises(DmddError, match="'gpu'") as error:
        choose_device("gpu")
    assert error.value.fix


def test_time_limits_end_a_run(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    """With a limit that preparation alone exceeds, a run still ends whole."""
    found = run(tiny_config(max_minutes=1e-6), tmp_path / "run")
    assert found.info["steps"] < 1000
    assert math.isfinite(found.info["train_seconds"])
    assert load_run(tmp_path / "run").info["steps"] == found.info["steps"]
