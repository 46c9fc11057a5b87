"""A resumed run has the images that it began with, whatever comes into the folder or leaves it meanwhile."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.errors import DataError
from dmdd_edge.train.listener import Listener, Stopped
from dmdd_edge.train.run_folder import IMAGES, STATE
from dmdd_edge.train.schedule import Progress
from dmdd_edge.train.session import train


class Stopping(Listener):
    """Stops a training after its second step, and keeps what is said."""

    def __init__(self, *, stops: bool = True) -> None:
        self.stops, self.steps = stops, 0
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def step(
        self, phase: str, progress: Progress, losses: dict[str, float], images_per_second: float
    ) -> None:
        self.steps = progress.step

    def stop_asked(self) -> bool:
        return self.stops and self.steps == 2


@pytest.fixture
def stopped(tiny_config: Callable[..., Any], plates: Path, tmp_path: Path) -> tuple[Any, Path, Path]:
    """Configuration, folder and good images of a run that was stopped; one image cannot be read."""
    shutil.copytree(plates, tmp_path / "data")
    good = tmp_path / "data" / "plate" / "train" / "good"
    (good / "000a.png").write_bytes(b"no image")
    config = tiny_config(data=tmp_path / "data", steps=4)
    folder = tmp_path / "runs" / "plate"
    with pytest.raises(Stopped):
        train(config, folder, Stopping(), resume=False, tensorboard=False)
    return config, folder, good


def resumed(config: Any, folder: Path) -> tuple[dict[str, Any], list[str]]:
    listener = Stopping(stops=False)
    info = train(config, folder, listener, resume=True, tensorboard=False).run.info
    return info, listener.said


def test_images_that_came_meanwhile_are_not_used(stopped: tuple[Any, Path, Path]) -> None:
    config, folder, good = stopped
    lists = json.loads((folder / IMAGES).read_text())
    assert lists["skipped"][0][0] == "train/good/000a.png"
    first = min(path for path in good.iterdir() if path.name != "000a.png")
    # An image that could not be read can be now; two are new and would come first.
    for name in ("000a.png", "0001.png", "0002.png"):
        (good / name).write_bytes(first.read_bytes()[:-1] + b"\x82")
    info, said = resumed(config, folder)
    root = Path(info["root"])
    for use in ("train", "holdout"):
        assert [Path(path).relative_to(root).as_posix() for path in info[use]] == lists[use]
    [note] = [line for line in said if "began without them" in line]
    assert note.startswith("note: 2 images are not used")
    assert str(good / "0001.png") in note
    assert [path for path, _ in info["skipped"]] == [str(good / "000a.png")]
    assert not (folder / IMAGES).exists()


def test_images_that_are_gone_are_an_error(stopped: tuple[Any, Path, Path]) -> None:
    config, folder, good = stopped
    gone = good / Path(json.loads((folder / IMAGES).read_text())["holdout"][0]).name
    gone.rename(gone.with_suffix(".txt"))
    with pytest.raises(DataError, match=r"1 of 10 images that this training began with are missing") as error:
        resumed(config, folder)
    assert str(gone) in error.value.message
    assert "--overwrite" in (error.value.fix or "")
    assert (folder / STATE).is_file()


def test_a_run_that_made_no_step_takes_the_folder_as_it_is(stopped: tuple[Any, Path, Path]) -> None:
    config, folder, good = stopped
    (folder / STATE).unlink()
    next(path for path in sorted(good.iterdir()) if path.name != "000a.png").unlink()
    info, said = resumed(config, folder)
    assert len(info["train"]) + len(info["holdout"]) == 9
    assert not any("began without" in line for line in said)


def test_a_run_whose_model_is_written_keeps_its_images(stopped: tuple[Any, Path, Path]) -> None:
    config, folder, good = stopped
    info, _ = resumed(config, folder)
    facts = json.loads((folder / "run.json").read_text())
    (folder / "run.json").write_text(json.dumps(facts | {"complete": False}))
    shutil.copy(info["train"][0], good / "0001.png")
    again, said = resumed(config, folder)
    assert (again["train"], again["holdout"]) == (info["train"], info["holdout"])
    assert any("1 image is not used, since the training began without it" in line for line in said)
