"""A run killed with kill -9 at any moment and resumed ends as the uninterrupted one, to the bit."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.datasets import load_category
from dmdd_edge.errors import DmddError
from dmdd_edge.train.checkpoint import load_run, read_config
from dmdd_edge.train.trainer import Listener, Trainer

#: Trains and dies at the moment that the arguments name: "student", "head" or "saving", and how many before.
DRIVER = """
import os, signal, sys
from pathlib import Path
from dmdd_edge.datasets import load_category
from dmdd_edge.train import checkpoint, trainer
from dmdd_edge.train.config import TrainConfig

folder, moment, number = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
config = TrainConfig.model_validate_json(sys.stdin.read())
trainer._SAVE_SECONDS = 0.0
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


def kill_at(config: Any, folder: Path, moment: str, number: int) -> None:
    done = subprocess.run(
        [sys.executable, "-c", DRIVER, str(folder), moment, str(number)],
        input=config.model_dump_json(),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == -signal.SIGKILL, done.stderr
    assert not (folder / "model.safetensors").exists()


@pytest.fixture(scope="module")
def whole(tiny_config: Callable[..., Any], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Any]:
    """The uninterrupted run of a head or its phase: its configuration and checkpoint."""
    known: dict[str, tuple[Any, bytes]] = {}

    def get(phase: str) -> tuple[Any, bytes]:
        if phase not in known:
            head = {"head": "scaled" if phase == "scaled" else "msn"}
            config = tiny_config(head, steps=10, head_phase="epoch" if phase == "epoch" else "end")
            known[phase] = config, finish(config, tmp_path_factory.mktemp("whole") / "run", resume=False)
        return known[phase]

    return get


@pytest.mark.slow
@pytest.mark.parametrize(
    ("phase", "moment", "number"),
    [
        ("scaled", "student", 6),
        ("end", "head", 3),
        ("epoch", "student", 7),  # after the head's first phase, in the middle of the second epoch
        ("epoch", "saving", 5),
    ],
)
def test_a_killed_run_resumes_to_the_same_bits(
    phase: str, moment: str, number: int, whole: Callable[[str], Any], tmp_path: Path
) -> None:
    config, expected = whole(phase)
    folder = tmp_path / "run"
    folder.mkdir()
    kill_at(config, folder, moment, number)
    assert (folder / "state.safetensors").exists()
    stored = read_config(folder)
    assert stored == config
    gone = stored.model_copy(update={"weights": tmp_path / "gone.pth"})  # the run keeps the teacher itself
    assert finish(gone, folder, resume=True) == expected
    assert load_run(folder).info["steps"] == 10
    assert not (folder / "state.safetensors").exists()


@pytest.mark.slow
def test_a_run_killed_before_its_first_checkpoint_starts_over(
    whole: Callable[[str], Any], tmp_path: Path
) -> None:
    config, expected = whole("end")
    folder = tmp_path / "run"
    folder.mkdir()
    kill_at(config, folder, "student", 1)
    assert (folder / "teacher.safetensors").exists()
    assert finish(config, folder, resume=True) == expected


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
        with pytest.raises(DmddError, match="does not fit"):
            load_run(tmp_path)


@pytest.mark.parametrize("content", ["", "{", '{"recipe": "edge"}', '{"recipe": "magic"}'])
def test_a_damaged_configuration_is_named(content: str, tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(content)
    with pytest.raises(DmddError, match=r"config\.json") as error:
        read_config(tmp_path)
    assert "--overwrite" in (error.value.fix or "")
