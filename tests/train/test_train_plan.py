"""What `train` is asked to do is checked before torch is loaded and before anything is written."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from typer.testing import CliRunner

from dmdd_edge.cli.main import app
from dmdd_edge.errors import DmddError
from dmdd_edge.train.run_folder import run_lock

TYPOS = """
import contextlib, json, sys
from pathlib import Path
from dmdd_edge.cli.main import main
data, runs = sys.argv[1:3]
options = ["train", "--data", data, "--category", "plate", "--runs-dir", runs, "--steps", "1"]
for wrong in json.loads(sys.argv[3]):
    sys.argv = ["dmdd-edge", *options, *wrong]
    with contextlib.suppress(SystemExit):
        main()
    loaded = sorted({"torch", "torchvision", "timm"} & set(sys.modules))
    print(wrong, loaded, Path(runs).exists())
"""


@pytest.mark.slow
def test_a_typo_is_found_without_torch_and_leaves_nothing(plates: Path, tmp_path: Path) -> None:
    wrong = [
        ["--data", "nowhere"],
        ["--category", "plat"],
        ["--device", "cudo"],
        ["--backbone", "resnet19"],
        ["--weights", "nowhere.pth"],
        ["--textures", "nowhere"],
        ["--roi", "0,0,9000,9000"],
        ["--rotate", "45"],
        ["--image-size", "100"],
        ["--seed", "-1"],
        ["--run", "../up"],
        ["--runs-dir", "/proc/runs"],
        ["--resume", "--overwrite"],
        ["--resume"],
    ]
    done = subprocess.run(
        [sys.executable, "-c", TYPOS, plates, tmp_path / "runs", json.dumps(wrong)],
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout.splitlines() == [f"{case} [] False" for case in wrong]
    assert done.stderr.count("error: ") == len(wrong)
    assert "nexpected" not in done.stderr


def call(*arguments: object) -> DmddError:
    """Run a command that a user's error ends."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments])
    assert isinstance(result.exception, DmddError), result.output
    return result.exception


@pytest.fixture
def unfinished(tiny_config: Callable[..., Any], tmp_path: Path) -> Path:
    folder = tmp_path / "runs" / "plate"
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(tiny_config(steps=99).model_dump_json())
    (folder / "state.safetensors").write_bytes(b"")
    return folder


def test_resuming_refuses_what_would_change_the_run(unfinished: Path) -> None:
    runs = ["--category", "plate", "--runs-dir", unfinished.parent]
    error = call("train", "--resume", *runs, "--steps", 5, "--lr", 0.5, "--backbone", "resnet18", "--no-pu")
    for words in (
        "--steps 5 (the run has 99)",
        "--lr 0.5 (the run has 0.002)",
        "--backbone resnet18 (the run has timm:test_efficientnet)",
        "--pu False (the run has True)",
    ):
        assert words in error.message
    assert "--overwrite" in error.fix
    error = call("train", "--resume", *runs, "--rotate", 90)
    assert "--rotate 90" in error.message


def test_resuming_names_the_number_of_steps_that_the_run_chose(
    unfinished: Path, tiny_config: Callable[..., Any]
) -> None:
    (unfinished / "config.json").write_text(tiny_config(steps=None).model_dump_json())
    runs = ["--category", "plate", "--runs-dir", unfinished.parent]
    message = call("train", "--resume", *runs, "--steps", 50, "--epochs", 3).message
    assert "--steps 50 (the run chose 240 itself)" in message  # the fewest, of the few images of the fixture
    assert "--epochs 3.0 (the run does not set it)" in message


def test_resuming_takes_what_concerns_this_machine(
    unfinished: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    seen: dict[str, Any] = {}

    def train(config: Any, folder: Path, *_: Any, **options: Any) -> None:
        seen.update(config=config, folder=folder, **options)
        raise DmddError("enough")

    monkeypatch.setattr("dmdd_edge.train.session.train", train)
    result = CliRunner().invoke(
        app,
        f"train --resume --category plate --runs-dir {unfinished.parent} "
        f"--workers 3 --steps 99 --data {tmp_path}",
    )
    assert str(result.exception).strip() == "enough"
    assert seen["config"].workers == 3
    assert seen["config"].data == tmp_path
    assert seen["config"].steps == 99
    assert seen["folder"] == unfinished
    assert "resuming with --workers 3 (it was 1)" in result.output
    assert "--steps" not in result.output


def test_a_second_training_of_a_run_is_refused(unfinished: Path, plates: Path) -> None:
    before = sorted(unfinished.iterdir())
    with run_lock(unfinished):
        for options in (["--resume"], ["--overwrite", "--data", plates]):
            error = call("train", "--category", "plate", "--runs-dir", unfinished.parent, *options)
            assert "is in use by process" in error.message
            assert "--run NAME" in error.fix
        for command in ("export", "evaluate"):
            error = call(command, "--category", "plate", "--runs-dir", unfinished.parent)
            assert "is in use by process" in error.message
    assert sorted(unfinished.iterdir()) == before


def test_one_odd_image_does_not_decide_whether_the_region_fits(tmp_path: Path) -> None:
    for number in range(4):
        image = np.zeros((20, 20, 3) if number == 0 else (60, 80, 3), np.uint8)
        cv2.imwrite(str(tmp_path / f"{number}.png"), image)
    options = ["train", "--data", str(tmp_path), "--runs-dir", str(tmp_path / "runs"), "--device", "cuda:9"]
    fits = CliRunner().invoke(app, [*options, "--roi", "10,10,60,40"])
    assert isinstance(fits.exception, DmddError)
    assert "region" not in fits.exception.message  # the device is wrong, the region is not
    wide = CliRunner().invoke(app, [*options, "--roi", "10,10,90,40"])
    assert isinstance(wide.exception, DmddError)
    assert wide.exception.message.startswith(f"{tmp_path / '1.png'}: the region of interest")
