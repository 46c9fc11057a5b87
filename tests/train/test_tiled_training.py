"""A category is trained on tiles: its files, the level of the coarse map, and more images afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.messages.phases import Cost, Phases
from dmdd_edge.train.checkpoint import load_run, read_facts
from dmdd_edge.train.costs import READING
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.preparation import prepare
from dmdd_edge.train.session import train
from dmdd_edge.train.train_detector import train_detector


def draw(folder: Path, count: int, seed: int) -> Path:
    folder.mkdir()
    rng = np.random.default_rng(seed)
    for number in range(count):
        noise = rng.integers(90, 160, (13, 20, 3), dtype=np.uint8)
        cv2.imwrite(str(folder / f"{seed}-{number}.png"), cv2.resize(noise, (160, 104)))
    return folder


@pytest.mark.slow
def test_a_run_of_tiles_keeps_the_level_and_can_be_continued(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    data = draw(tmp_path / "part", 6, 0)
    tiling = Tiling(tile=64, overlap=8, coarse=True)
    config = tiny_config(
        steps=2, data=data, category="part", preprocess=Preprocess(tiling=tiling), head_steps=1
    )
    folder = tmp_path / "runs" / "part"
    outcome = train(config, folder, Listener(), resume=False, tensorboard=False)
    facts = read_facts(folder)
    files = {str(path.absolute()) for path in data.iterdir()}
    assert set(facts["train"]) | set(facts["holdout"]) == files
    assert len(facts["train"]) + len(facts["holdout"]) == 6
    assert {item["file"] for item in facts["outliers"]["furthest"]} == files

    gains = {name: facts[name] for name in ("coarse_gain", "coarse_score_gain")}
    assert all(gain > 0 for gain in gains.values())
    expected = tiling.model_copy(update=gains)
    assert outcome.run.config.preprocess.tiling == expected
    assert load_run(folder).config.preprocess.tiling == expected

    more = draw(tmp_path / "more", 3, 1)
    run = train_detector(
        TrainOptions(continue_run=str(folder), add=(more,), runs_dir=folder.parent, steps=1, device="cpu")
    )
    assert len(run.facts["train"]) + len(run.facts["holdout"]) == 9
    assert set(facts["holdout"]) <= set(run.facts["holdout"])
    assert run.config.preprocess.tiling is not None
    assert run.config.preprocess.tiling.tile == 64


class Estimates(Listener):
    """Follows a training as the bar does, and keeps what it shows."""

    def __init__(self) -> None:
        self.phases = Phases()
        self.shown: list[tuple[str, float | None]] = []

    def expect(self, costs: Iterable[Cost]) -> None:
        self.phases.expect(costs)

    def preparing(self, what: str, done: int, total: int | None) -> None:
        self.phases.update(what, done, total)
        standing = self.phases.standing()
        self.shown.append((standing.phase, standing.share))


def test_reading_large_images_is_not_taken_for_most_of_the_training(
    tiny_config: Callable[..., Any], tmp_path: Path
) -> None:
    data = draw(tmp_path / "part", 6, 0)
    config = tiny_config(
        steps=2, data=data, category="part", preprocess=Preprocess(tiling=Tiling(tile=64, overlap=8))
    )
    listener = Estimates()
    prepare(config, load_category(data), tmp_path / "run", listener, resume=False)
    read = [share for phase, share in listener.shown if phase == READING]
    assert len(read) >= 7
    assert set(read) == {None}
