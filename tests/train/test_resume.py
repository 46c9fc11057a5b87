"""A run killed with kill -9 at any moment and resumed ends as the uninterrupted one, to the bit."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.errors import DmddError
from dmdd_edge.train.checkpoint import load_run, read_config
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.trainer import Trainer

#: Trains and dies at the moment that the arguments name: "student", "head" or "saving", and how many before.
DRIVER = """
import os, signal, sys
from pathlib import Path
from dmdd_edge.data.datasets import load_category
from dmdd_edge.train import checkpoint, student_phase, trainer
from dmdd_edge.train.config import TrainConfig

folder, moment, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
config = TrainConfig.model_validate_json(sys.stdin.read())
student_phase.SAVE_SECONDS = 0.0
seen = {"student": 0, "head": 0, "saving": 0}

def reached(kind):
    seen[kind] += 1
    if kind == moment and seen[kind] == number:
        os.kill(os.getpid(), signal.SIGKILL)

class Dying(trainer.Listener):
    def step(self, phase, progress, losses, images_per_second):
        reached(phase)

replace = os.replace
def watched(source, target):
    if Path(target).name == checkpoint.STATE:
        reached("saving")
    replace(source, target)
os.replace = watched

trainer.Trainer(config, load_category(config.data, config.category), folder, Dying()).run()
"""


def finish(config: Any, folder: Path, resume: bool) -> bytes:
    category = load_category(config.data, config.category)
    Trainer(config, category, folder, Listener(), resume=resume).run()
    return (folder / "model.safetensors").read_bytes()


#: Head or its phase, and when the run is killed: at which step of a phase, or while its state is written.
KILLS = {
    "scaled maps, in the student's phase": ("scaled", "student", 6),
    "head at the end, in the head's phase": ("end", "head", 3),
    "head each epoch, in the second epoch while saving": ("epoch", "saving", 7),
    "before the first checkpoint": ("end", "student", 1),
}


def config_of(phase: str, tiny_config: Callable[..., Any]) -> Any:
    head = {"head": "scaled" if phase == "scaled" else "msn"}
    return tiny_config(head, steps=10, head_phase="epoch" if phase == "epoch" else "end")


@pytest.fixture(scope="module")
def killed(tiny_config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder that each killed run left; the processes run side by side, since they mostly import."""
    folders, running = {}, {}
    for name, (phase, moment, number) in KILLS.items():
        folders[name] = tmp_path_factory.mktemp("killed") / "run"
        running[name] = subprocess.Popen(
            [sys.executable, "-c", DRIVER, str(folders[name]), moment, str(number)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
            env={
                **os.environ,
                "OMP_WAIT_POLICY": "passive",
            },  # or their threads would spin against each other
        )
        stdin = running[name].stdin
        assert stdin is not None
        stdin.write(config_of(phase, tiny_config).model_dump_json())
        stdin.close()
        running[name].stdin = None
    for process in running.values():
        _, errors = process.communicate(timeout=600)
        assert process.returncode == -signal.SIGKILL, errors
    return folders


@pytest.fixture(scope="module")
def whole(tiny_config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """The checkpoint of each uninterrupted run."""
    return {
        phase: finish(config_of(phase, tiny_config), tmp_path_factory.mktemp("whole") / "run", resume=False)
        for phase in ("scaled", "end", "epoch")
    }


@pytest.mark.slow
@pytest.mark.parametrize("name", KILLS)
def test_a_killed_run_resumes_to_the_same_bits(
    name: str,
    killed: dict[str, Path],
    whole: dict[str, bytes],
    tiny_config: Callable[..., Any],
    tmp_path: Path,
) -> None:
    folder, phase = killed[name], KILLS[name][0]
    assert not (folder / "model.safetensors").exists()
    assert (folder / "state.safetensors").exists() == (name != "before the first checkpoint")
    stored = read_config(folder)
    assert stored == config_of(phase, tiny_config)
    gone = stored.model_copy(update={"weights": tmp_path / "gone.pth"})  # the run keeps the teacher itself
    assert finish(gone, folder, resume=True) == whole[phase]
    assert load_run(folder).info["steps"] == 10
    assert not (folder / "state.safetensors").exists()


def test_an_unfinished_run_cannot_be_loaded(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    folder = tmp_path / "plate"
    folder.mkdir()
    (folder / "config.json").write_text(tiny_config().model_dump_json())
    with pytest.raises(DmddError, match="not finished") as error:
        load_run(folder)
    assert "--resume" in (error.value.fix or "")
    with pytest.raises(DmddError, match="no training run"):
        load_run(tmp_path / "nowhere")


@pytest.mark.parametrize("name", ["state.safetensors", "teacher.safetensors"])
@pytest.mark.parametrize(
    "damage", [b"", b"garbage that is no tensor file", b"\xff" * 64], ids=["empty", "text", "bytes"]
)
def test_a_damaged_checkpoint_is_named(
    name: str, damage: bytes, tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    (tmp_path / name).write_bytes(damage)
    with pytest.raises(DmddError) as error:
        finish(tiny_config(), tmp_path, resume=True)
    assert str(tmp_path / name) in error.value.message
    assert "--overwrite" in (error.value.fix or "")


def test_a_checkpoint_of_another_shape_is_refused(
    tiny_config: Callable[..., Any], tiny_outcome: Any, tmp_path: Path
) -> None:
    """The files of one run under the configuration of another."""
    for name in ("teacher.safetensors", "model.safetensors", "run.json"):
        (tmp_path / name).write_bytes((tiny_outcome.run.folder / name).read_bytes())
    for other in ({"pmn": "none"}, {"backbone": "timm:test_resnet"}):
        (tmp_path / "config.json").write_text(tiny_config(other).model_dump_json())
        with pytest.raises(DmddError, match="does not match"):
            load_run(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"recipe": "edge"}', '{"recipe": "magic"}'])
def test_a_damaged_configuration_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DmddError, match=r"config\.json") as error:
        read_config(tmp_path)
    assert "--overwrite" in (error.value.fix or "")
