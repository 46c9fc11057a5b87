"""Which run ``--resume`` means, and what a run that was stopped while it continued another is told."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from dmdd_edge.cli.train_progress import after_stop
from dmdd_edge.errors import DmddError
from dmdd_edge.sample import write_sample
from dmdd_edge.train.checkpoint import write_tensors
from dmdd_edge.train.config import Parent
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.plan import Plan, plan_training
from dmdd_edge.train.run_folder import CONFIG, FACTS, MODEL, STATE, write_json
from dmdd_edge.train.unfinished import run_to_resume

Make = Callable[..., Path]


@pytest.fixture
def make_run(tmp_path: Path, tiny_config: Callable[..., Any]) -> Make:
    """Makes a run that holds files of a state, and no tensor."""

    def make(name: str, state: str, category: str = "plate", continues: Path | None = None) -> Path:
        folder = tmp_path / "runs" / name
        folder.mkdir(parents=True)
        parent = None if continues is None else Parent(run=continues.absolute(), add=(tmp_path,))
        config = tiny_config().model_copy(update={"category": category, "parent": parent})
        write_json(folder / CONFIG, config.model_dump(mode="json"))
        if state in ("trained", "finished"):
            (folder / MODEL).touch()
            write_json(folder / FACTS, {"complete": state == "finished"})
        if state == "unfinished":
            (folder / STATE).touch()
        return folder

    return make


@pytest.fixture
def lot(tmp_path: Path) -> Path:
    """A plain folder with four more good plates."""
    write_sample(tmp_path / "drawn", train=4, test_good=0, test_bad=0, size=64, seed=71)
    return (tmp_path / "drawn" / "plate" / "train" / "good").rename(tmp_path / "lot")


def test_the_only_unfinished_run_is_resumed(make_run: Make, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    make_run("plate", "finished")
    make_run("others", "finished", "bolt")
    stopped = make_run("plate-2", "unfinished")
    make_run("failed", "begun")
    (runs / "damaged").mkdir()
    (runs / "damaged" / CONFIG).write_text("{")
    assert run_to_resume(None, None, runs) == stopped
    assert run_to_resume("plate", None, runs) == stopped
    assert run_to_resume("plate", "plate", runs) == runs / "plate"
    assert plan_training(TrainOptions(resume=True, runs_dir=runs)).folder == stopped
    # A run's category is the one that it was trained for, whatever it is called.
    (runs / "bolt").mkdir()
    shutil.copytree(stopped, runs / "bolt", dirs_exist_ok=True)
    assert run_to_resume("plate", "bolt", runs) == runs / "bolt"
    with pytest.raises(DmddError, match=r"--category bolt: the run .* is of plate"):
        plan_training(TrainOptions(resume=True, category="bolt", runs_dir=runs))
    shutil.rmtree(runs / "bolt")
    # Of another category nothing is unfinished.
    (runs / "others").rename(runs / "bolt")
    assert run_to_resume("bolt", None, runs) == runs / "bolt"
    with pytest.raises(DmddError, match=r"bolt is finished; there is nothing to resume") as caught:
        plan_training(TrainOptions(resume=True, category="bolt", runs_dir=runs))
    assert caught.value.fix.startswith("Export it: dmdd-edge export --category bolt")


def test_of_several_unfinished_runs_one_must_be_named(make_run: Make, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    for name, state in (("plate", "finished"), ("a", "unfinished"), ("b", "trained")):
        make_run(name, state)
    with pytest.raises(DmddError, match=r"several runs in .* are unfinished: a, b\.") as caught:
        run_to_resume(None, None, runs)
    assert caught.value.fix == f"Resume one of them: dmdd-edge train --resume --run a --runs-dir {runs}"
    # One whose configuration is damaged is not passed over.
    (runs / "b" / MODEL).unlink()
    (runs / "b" / STATE).touch()
    (runs / "b" / CONFIG).write_text("{")
    with pytest.raises(DmddError, match=r"are unfinished: a, b\."):
        run_to_resume(None, None, runs)
    # A run that is named as its category precedes the others of it.
    shutil.rmtree(runs / "plate")
    make_run("plate", "unfinished")
    assert run_to_resume("plate", None, runs) == runs / "plate"


def test_where_none_is_unfinished_that_is_said(make_run: Make, tmp_path: Path) -> None:
    runs = tmp_path / "runs"
    with pytest.raises(DmddError, match="there is no run in"):
        run_to_resume(None, None, runs)
    for name in ("plate", "plate-2"):
        make_run(name, "finished")
    with pytest.raises(
        DmddError, match=r"none of the 2 runs in .* is unfinished; there is nothing to resume\."
    ):
        run_to_resume(None, None, runs)
    begun = make_run("another", "begun")
    assert run_to_resume(None, None, runs) == begun


def test_what_a_stopped_training_prints_names_the_step_of_its_checkpoint(make_run: Make) -> None:
    folder = make_run("plate-2", "unfinished")
    write_tensors(folder / STATE, {"weights": torch.zeros(2)}, {"step": 7})
    text, command = after_stop(folder, "plate")
    assert text == f"Stopped; the checkpoint of step 7 is in {folder}."
    assert command == (f"dmdd-edge train --resume --category plate --run plate-2 --runs-dir {folder.parent}")
    (folder / STATE).write_bytes(b"cut off")
    assert after_stop(folder, "plate")[0] == f"Stopped; the checkpoint is in {folder}."


@pytest.mark.parametrize("state", ["unfinished", "trained"])
def test_a_continued_run_that_was_stopped_is_named(
    make_run: Make, tiny_outcome: Any, lot: Path, tmp_path: Path, state: str
) -> None:
    old = tiny_outcome.run.folder
    make_run("plate-1", "begun", continues=old)
    make_run("plate-2", state, continues=old)

    def plan(**more: Any) -> Plan:
        return plan_training(
            TrainOptions(continue_run=str(old), add=(lot,), runs_dir=tmp_path / "runs", **more)
        )

    with pytest.raises(DmddError, match=r"plate-2 continues .*, and is unfinished") as caught:
        plan()
    assert "Resume it: dmdd-edge train --category plate --run plate-2" in caught.value.fix
    assert plan(run="another").folder.name == "another"
    # The folder of runs may have been copied, or be named by another path.
    shutil.copytree(old, tmp_path / "runs" / old.name)
    (tmp_path / "link").symlink_to(tmp_path / "runs")
    for runs in (tmp_path / "runs", tmp_path / "link"):
        with pytest.raises(DmddError, match=r"plate-2 continues .*, and is unfinished"):
            plan_training(TrainOptions(continue_run=old.name, add=(lot,), runs_dir=runs))


def test_one_that_made_no_step_begins_again(
    make_run: Make, tiny_outcome: Any, lot: Path, tmp_path: Path
) -> None:
    old = tiny_outcome.run.folder
    make_run("plate-2", "begun", continues=tmp_path)  # another run
    make_run("plate-7", "begun", continues=old)
    made = plan_training(TrainOptions(continue_run=str(old), add=(lot,), runs_dir=tmp_path / "runs"))
    assert made.folder == tmp_path / "runs" / "plate-7"
