"""The options of tiles against the images, and against the run that is resumed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import OptionError
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.plan import Plan, plan_training


@pytest.fixture
def part(tmp_path: Path) -> Path:
    folder = tmp_path / "part"
    folder.mkdir()
    for number in range(4):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((300, 400, 3), 60 * number, np.uint8))
    return folder


def plan(part: Path, tmp_path: Path, **options: Any) -> Plan:
    return plan_training(TrainOptions(data=part, runs_dir=tmp_path / "runs", image_size=64, **options))


def test_the_tiling_is_kept_in_the_configuration(part: Path, tmp_path: Path) -> None:
    made = plan(part, tmp_path, tile="128", coarse=True, rotate=90)
    assert made.config.preprocess == Preprocess(
        rotate=90, tiling=Tiling(tile=128, overlap=32, margin=8, coarse=True)
    )
    assert plan(part, tmp_path, fit="pad").config.preprocess == Preprocess(fit="pad")


def test_auto_says_what_it_chose(part: Path, tmp_path: Path) -> None:
    made = plan(part, tmp_path, tile="auto", smallest_defect="12px")
    assert made.config.preprocess.tiling == Tiling(tile=128, overlap=32, margin=8)
    assert made.notes == ("tiles: smallest defect 12 px, so tiles of 128 px",)
    made = plan(part, tmp_path, tile="auto", smallest_defect="40px")
    assert made.config.preprocess == Preprocess()
    assert "none needed" in made.notes[0]


def test_parts_that_cannot_be_compared_by_place_are_refused_before_the_training(
    part: Path, tmp_path: Path
) -> None:
    for number in range(4, 40):
        (part / f"{number}.png").write_bytes((part / "0.png").read_bytes())
    assert plan(part, tmp_path, tile="128", score="place").config.score == "place"  # a quarter is 10 images
    with pytest.raises(OptionError, match="4 held-out images are too few for levels, which need 8"):
        plan(part, tmp_path, tile="128", score="place", holdout=0.1)
    assert plan(part, tmp_path, tile="128", holdout=0.1).config.score == "auto"
    with pytest.raises(OptionError, match="--tile auto cuts none"):
        plan(part, tmp_path, tile="auto", smallest_defect="40px", score="place")
    cv2.imwrite(str(part / "40.png"), np.zeros((300, 404, 3), np.uint8))
    with pytest.raises(OptionError, match="the images differ in size"):
        plan(part, tmp_path, tile="128", score="place")


def test_the_ignore_mask_of_tiles_is_finer_than_the_network(part: Path, tmp_path: Path) -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[:, 200:202] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    made = plan(part, tmp_path, tile="128", ignore_mask=tmp_path / "mask.png")
    ignored = made.config.preprocess.geometry((300, 400), 64).ignored
    assert ignored is not None
    # Two columns of the source are one of the view.
    assert ignored.any(0).sum() == 1


@pytest.fixture
def unfinished(part: Path, tmp_path: Path, tiny_config: Callable[..., Any]) -> Path:
    folder = tmp_path / "runs" / "part"
    folder.mkdir(parents=True)
    config = tiny_config(
        data=part,
        category="part",
        preprocess=Preprocess(tiling=Tiling(tile=128, overlap=16, coarse=True)),
    )
    (folder / "config.json").write_text(config.model_dump_json())
    (folder / "state.safetensors").write_bytes(b"")
    return folder


def resumed(tmp_path: Path, **options: Any) -> Plan:
    given = {"category": "part", "runs_dir": tmp_path / "runs", "resume": True, **options}
    return plan_training(TrainOptions.build(given, frozenset(given)))


@pytest.mark.parametrize(
    "options",
    [{}, {"tile": "128"}, {"tile": "128", "overlap": 16, "coarse": True}, {"tile": "auto"}],
)
def test_a_run_is_resumed_with_its_own_tiles(unfinished: Path, tmp_path: Path, options: Any) -> None:
    made = resumed(tmp_path, **options)
    assert made.config.preprocess.tiling == Tiling(tile=128, overlap=16, coarse=True)
    assert made.folder == unfinished


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"tile": "96"}, r"--tile 96 \(the run has 128\)"),
        ({"overlap": 8}, r"--overlap 8 \(the run has 16\)"),
        ({"coarse": False}, r"--coarse False \(the run has True\)"),
        ({"fit": "pad"}, r"--fit pad \(the run has stretch\)"),
        ({"tile": "auto", "smallest_defect": "10px"}, r"--tile 96 \(the run has 128\)"),
    ],
)
def test_resuming_with_other_tiles_is_refused(
    unfinished: Path, tmp_path: Path, options: Any, message: str
) -> None:
    with pytest.raises(OptionError, match=message):
        resumed(tmp_path, **options)


def test_a_mask_is_compared_at_the_size_that_tiles_have(
    unfinished: Path, tmp_path: Path, part: Path, tiny_config: Callable[..., Any]
) -> None:
    mask = np.zeros((300, 400), np.uint8)
    mask[50:100, 200:260] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    made = plan(part, tmp_path, tile="128", ignore_mask=tmp_path / "mask.png", run="other")
    stored = tiny_config(data=part, category="part", preprocess=made.config.preprocess)
    (unfinished / "config.json").write_text(stored.model_dump_json())
    assert resumed(tmp_path, ignore_mask=tmp_path / "mask.png").config.preprocess == made.config.preprocess
