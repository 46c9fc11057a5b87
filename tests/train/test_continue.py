"""A run that continues another: its images, its start, its name, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmdd_edge.errors import DataError, DmddError, OptionError
from dmdd_edge.sample import write_sample
from dmdd_edge.train.checkpoint import load_run, read_facts, read_tensors
from dmdd_edge.train.length import continued_steps
from dmdd_edge.train.listener import Listener, Stopped
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.plan import Plan, plan_training
from dmdd_edge.train.session import Outcome, train


@pytest.fixture(scope="session")
def lot(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain folder with eight more good plates."""
    root = tmp_path_factory.mktemp("lot")
    write_sample(root / "drawn", train=8, test_good=0, test_bad=0, size=64, seed=71)
    return (root / "drawn" / "plate" / "train" / "good").rename(root / "lot")


@pytest.fixture(scope="session")
def finished(tiny_outcome: Any) -> Path:
    """The folder of a finished run, of which 7 images are trained on and 3 held out."""
    folder: Path = tiny_outcome.run.folder
    return folder


def plan(parent: Path, *add: Path, **more: Any) -> Plan:
    return plan_training(TrainOptions(continue_run=str(parent), add=add, **more))


def carry_out(made: Plan, listener: Listener | None = None, resume: bool = False) -> Outcome:
    return train(made.config, made.folder, listener or Listener(), resume=resume, tensorboard=False)


@pytest.fixture(scope="module")
def continued(finished: Path, lot: Path, tmp_path_factory: pytest.TempPathFactory) -> Outcome:
    """The run continued for four steps."""
    return carry_out(plan(finished, lot, steps=4, runs_dir=tmp_path_factory.mktemp("continued")))


def test_old_images_keep_their_use_and_the_new_ones_are_split(
    continued: Outcome, finished: Path, lot: Path
) -> None:
    old, new = read_facts(finished), read_facts(continued.run.folder)
    assert len(old["train"]), len(old["holdout"]) == (7, 3)
    assert new["train"][:7] == old["train"]
    assert new["holdout"][:3] == old["holdout"]
    fresh_train, fresh_held_out = set(new["train"][7:]), set(new["holdout"][3:])
    # Of 8 images a share of 0.3 is held out, as the run's configuration says.
    assert (len(fresh_train), len(fresh_held_out)) == (6, 2)
    assert fresh_train | fresh_held_out == set(new["added"]) == {str(path) for path in lot.iterdir()}
    assert not set(new["train"]) & set(new["holdout"])
    assert new["parent"] == {
        "run": str(finished),
        "steps": 6,
        "train": 7,
        "holdout": 3,
        "full_steps": 11,  # 6 steps for 7 images are 11 for 13
    }


def test_the_table_names_the_added_folder(finished: Path, lot: Path, tmp_path: Path) -> None:
    said: list[str] = []

    class Listening(Listener):
        def say(self, text: str) -> None:
            said.append(text)

    outcome = carry_out(plan(finished, lot, steps=1, runs_dir=tmp_path), Listening())
    rows = [line.split() for text in said for line in text.splitlines() if line.endswith("training")]
    assert [lot.name, "8", "images", "training"] in [[Path(row[0]).name, *row[1:]] for row in rows]
    rows = [row for row in outcome.run.info["data_set"]["folders"] if row["folder"] == str(lot)]
    assert rows == [{"folder": str(lot), "images": 8, "use": "training", "why": ""}]


def test_held_out_images_are_never_shown_to_the_student(
    finished: Path, lot: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from dmdd_edge.train import preparation
    from dmdd_edge.train.synthesis.feeder import PairFeeder

    seen: list[Any] = []
    feeder = PairFeeder

    def watched(images: Any, *rest: Any, **more: Any) -> Any:
        seen.append(images)
        return feeder(images, *rest, **more)

    monkeypatch.setattr(preparation, "PairFeeder", watched)
    outcome = carry_out(plan(finished, lot, steps=1, runs_dir=tmp_path))
    from dmdd_edge.train.evaluation import holdout_images, run_images

    info = outcome.run.info
    assert (seen[0] == run_images(outcome.run, [Path(path) for path in info["train"]])).all()
    shown = {image.tobytes() for images in seen for image in images}
    assert not shown & {image.tobytes() for image in holdout_images(outcome.run)}


def test_it_starts_from_the_weights_of_the_run(finished: Path, lot: Path, tmp_path: Path) -> None:
    outcome = carry_out(plan(finished, lot, steps=1, lr=1e-12, runs_dir=tmp_path))
    before, after = (
        read_tensors(folder / "model.safetensors")[0] for folder in (finished, outcome.run.folder)
    )
    student = [
        name for name in before if name.startswith("student.") and ("weight" in name or "bias" in name)
    ]
    assert len(student) > 50
    for name in student:
        torch.testing.assert_close(after[name], before[name], atol=1e-6, rtol=1e-4)
    assert not (outcome.run.folder / "start.safetensors").exists()
    assert load_run(outcome.run.folder).config.parent is not None


def test_the_threshold_is_from_all_held_out_images(continued: Outcome) -> None:
    assert continued.threshold is not None
    assert continued.threshold.normals == 5
    assert len(continued.category.train) == 18


def test_the_old_run_is_untouched_and_the_same_seed_gives_the_same_run(
    continued: Outcome, finished: Path, lot: Path, tmp_path: Path
) -> None:
    before = {path.name: path.read_bytes() for path in finished.iterdir()}
    again = carry_out(plan(finished, lot, steps=4, runs_dir=tmp_path))
    assert {path.name: path.read_bytes() for path in finished.iterdir()} == before
    assert _model(again.run.folder) == _model(continued.run.folder)
    other = carry_out(plan(finished, lot, steps=4, seed=9, runs_dir=tmp_path))
    assert other.run.folder.name == "plate-3"
    assert _model(other.run.folder) != _model(continued.run.folder)


def _model(folder: Path) -> bytes:
    return (folder / "model.safetensors").read_bytes()


class _Stops(Listener):
    """Requests a stop after the second step."""

    def __init__(self) -> None:
        self.steps = 0

    def step(self, *_: Any) -> None:
        self.steps += 1

    def stop_asked(self) -> bool:
        return self.steps == 2


def test_a_stopped_run_resumes_without_the_old_one_and_its_new_images_are_fixed(
    continued: Outcome, finished: Path, lot: Path, tmp_path: Path
) -> None:
    parent = shutil.copytree(finished, tmp_path / "runs" / "plate")
    more = shutil.copytree(lot, tmp_path / "lot")
    with pytest.raises(Stopped):
        carry_out(plan(parent, more, steps=4), _Stops())
    shutil.rmtree(parent)
    shutil.copyfile(min(more.iterdir()), more / "later.png")
    made = plan_training(TrainOptions(resume=True, run="plate-2", runs_dir=tmp_path / "runs"))
    outcome = carry_out(made, resume=True)
    assert len(outcome.run.info["added"]) == 8
    assert _model(outcome.run.folder) == _model(continued.run.folder)


#: Continues a run and dies by SIGKILL after the third step.
DRIVER = """
import os, signal, sys
from pathlib import Path
from dmdd_edge.train import student_phase
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.plan import plan_training
from dmdd_edge.train.session import train

student_phase.SAVE_SECONDS = 0.0

class Dying(Listener):
    def step(self, phase, progress, losses, images_per_second):
        if progress.step == 3:
            os.kill(os.getpid(), signal.SIGKILL)

parent, lot, runs = map(Path, sys.argv[1:])
made = plan_training(TrainOptions(continue_run=str(parent), add=(lot,), steps=4, runs_dir=runs))
train(made.config, made.folder, Dying(), resume=False, tensorboard=False)
"""


@pytest.mark.slow
def test_a_killed_run_resumes_to_the_same_bits(
    continued: Outcome, finished: Path, lot: Path, tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, finished, lot, tmp_path],
        env={**os.environ, "OMP_WAIT_POLICY": "passive"},
        capture_output=True,
        text=True,
        timeout=600,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (tmp_path / "plate-2" / "model.safetensors").exists()
    outcome = carry_out(plan_training(TrainOptions(resume=True, runs_dir=tmp_path)), resume=True)
    assert _model(outcome.run.folder) == _model(continued.run.folder)


def test_a_continued_run_can_be_continued(continued: Outcome, plates: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "more", train=4, test_good=0, test_bad=0, size=64, seed=72)
    made = plan(continued.run.folder, tmp_path / "more")
    assert made.folder == continued.run.folder.with_name("plate-3")
    assert made.config.parent is not None
    assert made.config.parent.generation == 2
    assert made.config.lr == continued.run.config.lr == pytest.approx(0.0005)
    # 11 steps for 13 images are 14 for 16 or 17; a quarter of those, rounded up.
    assert made.config.steps == 4


@pytest.mark.slow
def test_a_fitted_head_is_fitted_anew(tiny_config: Callable[..., Any], lot: Path, tmp_path: Path) -> None:
    shape = {"head": "scaled", "prototypes": "auto", "density": "auto"}
    parent = tmp_path / "plate"
    train(tiny_config(shape), parent, Listener(), resume=False, tensorboard=False)
    outcome = carry_out(plan(parent, lot, steps=1))
    before, after = (read_tensors(folder / "model.safetensors")[0] for folder in (parent, outcome.run.folder))
    levels = [name for name in before if name.startswith("head.")]
    assert levels
    assert any(name not in after or not torch.equal(before[name], after[name]) for name in levels)
    assert load_run(outcome.run.folder).info["steps"] == 1


def test_copies_are_left_out(finished: Path, lot: Path, plates: Path, tmp_path: Path) -> None:
    old = read_facts(finished)
    folder = shutil.copytree(lot, tmp_path / "again")
    shutil.copyfile(old["holdout"][0], folder / "held_out.png")
    shutil.copyfile(old["train"][0], folder / "trained.png")
    shutil.copyfile(min(folder.iterdir()), folder / "z_twice.png")
    made = plan(finished, folder, lot, runs_dir=tmp_path)
    note = next(line for line in made.notes if "left out" in line)
    assert note.startswith("11 of 19 images are left out")  # three copies, and all eight of the second folder
    with pytest.raises(DataError, match="no new image"):
        plan(finished, plates / "plate" / "train" / "good", runs_dir=tmp_path)


def test_test_images_of_the_new_folder_are_not_trained_on(finished: Path, tmp_path: Path) -> None:
    write_sample(tmp_path / "more", train=4, test_good=2, test_bad=1, size=64, seed=75)
    made = plan(finished, tmp_path / "more", runs_dir=tmp_path)
    assert any("7 test images" in line and "--known-bad" in line for line in made.notes)
    assert any("3 new images to train on" in line and "1 new held out" in line for line in made.notes)


def test_moved_images_are_found_where_data_names_them(
    finished: Path, lot: Path, plates: Path, tmp_path: Path
) -> None:
    parent = shutil.copytree(finished, tmp_path / "runs" / "plate")
    for name in ("config.json", "run.json"):
        file = parent / name
        file.write_text(file.read_text().replace(str(plates), str(tmp_path / "gone")))
    with pytest.raises(DmddError) as error:
        plan(parent, lot)
    assert "--data" in (error.value.fix or "")
    moved = shutil.copytree(plates, tmp_path / "moved")
    made = plan(parent, lot, data=moved)
    assert made.config.data == moved.resolve()
    held_out = Path(read_facts(parent)["holdout"][0])
    (moved / held_out.relative_to(tmp_path / "gone")).unlink()
    with pytest.raises(DataError, match=r"1 of 10 images of the run .* missing") as error:
        plan(parent, lot, data=moved)
    assert "--data DIR" in (error.value.fix or "")


@pytest.mark.parametrize(
    ("changed", "named"),
    [
        ({"backbone": "resnet18"}, r"--backbone resnet18 \(the run has timm:test_efficientnet\)"),
        ({"image_size": 128}, r"--image-size 128 \(the run has 64\)"),
        ({"recipe": "paper"}, r"--recipe paper \(the run has edge\)"),
        ({"head": "sum"}, r"--head sum \(the run has msn\)"),
        ({"roi": "0,0,32,32"}, r"--roi 0,0,32,32"),
        ({"rotate": 90}, r"--rotate 90"),
        ({"branches": "normality", "pmn": "none"}, r"--branches normality .*, --pmn none"),
        ({"category": "screw"}, r"--category screw: the run .* is of plate"),
        ({"holdout": 0.0}, r"--holdout 0 would set the threshold without the new images"),
        ({"run": "plate"}, r"--run plate is the run that is continued"),
    ],
)
def test_what_does_not_fit_the_run_is_refused(
    changed: dict[str, Any], named: str, finished: Path, lot: Path
) -> None:
    with pytest.raises(OptionError, match=named):
        plan(finished, lot, **changed)
    assert sorted(path.name for path in finished.parent.iterdir() if path.is_dir()) == ["plate"]


def test_options_that_need_each_other(finished: Path, lot: Path, tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="--continue needs new images"):
        TrainOptions(continue_run="plate")
    with pytest.raises(OptionError, match="--add has no effect without --continue"):
        TrainOptions(data=lot, add=(lot,))
    with pytest.raises(OptionError, match="--resume and --continue exclude each other"):
        TrainOptions(continue_run="plate", add=(lot,), resume=True)
    with pytest.raises(DmddError, match="no run 'nut'"):
        plan_training(TrainOptions(continue_run="nut", add=(lot,), runs_dir=finished.parent))
    with pytest.raises(DataError, match="no such folder"):
        plan(finished, tmp_path / "nowhere")
    (tmp_path / "plate").mkdir()
    (tmp_path / "plate" / "config.json").write_bytes((finished / "config.json").read_bytes())
    with pytest.raises(DmddError, match="not finished"):
        plan(tmp_path / "plate", lot)


@pytest.mark.parametrize(
    ("full", "images", "new", "steps"),
    [(1600, 200, 20, 400), (1600, 200, 50, 400), (1600, 200, 150, 1200), (240, 30, 30, 240), (1, 2, 1, 1)],
)
def test_steps_are_a_quarter_or_the_share_of_the_new_images(
    full: int, images: int, new: int, steps: int
) -> None:
    assert continued_steps(full, images, new) == steps


def test_the_facts_are_readable_by_hand(continued: Outcome, plates: Path) -> None:
    stored = json.loads((continued.run.folder / "run.json").read_text())
    assert stored["train"][0].startswith("train/good/")
    assert Path(stored["added"][0]).is_absolute()
