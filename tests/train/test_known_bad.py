"""Known-bad parts: never trained on, left out of the figures, named in the report."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DataError
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.known_bad import describe_known_bad, load_known_bad
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.places import category_of
from dmdd_edge.train.session import train


@pytest.fixture
def bad(plates: Path, tmp_path: Path) -> Path:
    """Two of the plates' defective test images, under other names, and a file that cannot be read."""
    folder = tmp_path / "bad"
    folder.mkdir()
    defective = sorted(
        path for path in (plates / "plate" / "test").glob("*/*.png") if path.parent.name != "good"
    )
    for number, path in enumerate(defective[:2]):
        shutil.copy(path, folder / f"seen on Monday {number}.png")
    (folder / "broken.png").write_bytes(b"\x89PNG")
    return folder


def test_a_training_reports_them_and_leaves_them_out_of_its_figures(
    tiny_config: Callable[..., Any], bad: Path, tmp_path: Path
) -> None:
    said: list[str] = []

    class Said(Listener):
        def say(self, text: str) -> None:
            said.append(text)

    outcome = train(tiny_config(known_bad=bad), tmp_path / "run", Said(), resume=False, tensorboard=False)
    facts = json.loads((tmp_path / "run" / "run.json").read_text())["known_bad"]
    assert sorted(facts["scores"]) == ["seen on Monday 0.png", "seen on Monday 1.png"]
    assert facts["threshold"] == outcome.threshold.image
    assert facts["found"] == sum(score > facts["threshold"] for score in facts["scores"].values())
    assert "2 known-bad parts, which are not trained on" in said
    assert any("broken.png" in line for line in said)
    assert any(line.startswith("2 test images are known-bad parts") for line in said)
    defective = [item for item in outcome.category.test if not item.is_good]
    assert len(defective) == 3  # of five
    again = category_of(load_run(tmp_path / "run"))
    assert {item.path for item in again.test} == {item.path for item in outcome.category.test}


def test_a_part_that_is_also_a_good_one_is_refused(plates: Path, tmp_path: Path) -> None:
    category = load_category(plates, "plate")
    (tmp_path / "bad").mkdir()
    shutil.copy(category.train[3], tmp_path / "bad" / "x.png")
    with pytest.raises(DataError, match=r"x\.png is named as a known-bad part") as caught:
        load_known_bad(tmp_path / "bad", "plate", category.train, Preprocess(), 64)
    assert str(category.train[3]) in caught.value.message


def test_a_folder_without_images_is_refused(plates: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    with pytest.raises(DataError):
        load_known_bad(tmp_path / "bad", "plate", load_category(plates, "plate").train, Preprocess(), 64)


def test_images_are_prepared_as_for_training(plates: Path, tmp_path: Path) -> None:
    (tmp_path / "bad").mkdir()
    cv2.imwrite(str(tmp_path / "bad" / "x.png"), np.full((80, 80, 3), (1, 2, 3), np.uint8))
    known, lines = load_known_bad(
        tmp_path / "bad", "plate", load_category(plates, "plate").train, Preprocess(), 64
    )
    assert known.names == ("x.png",)
    assert known.images.shape == (1, 64, 64, 3)
    assert known.images[0, 0, 0].tolist() == [1, 2, 3]
    assert lines == []


def test_the_report_names_the_missed_ones_the_furthest_first() -> None:
    facts = {"images": 3, "found": 1, "threshold": 0.5, "scores": {"a": 0.4, "b": 0.6, "c": 0.25}}
    assert describe_known_bad(facts) == (
        "the threshold 0.5000 finds 1 of 3 known-bad parts; not found: c (0.2500), a (0.4000)"
    )
    assert describe_known_bad({**facts, "found": 3, "scores": {"a": 0.6}}) == (
        "the threshold 0.5000 finds 3 of 3 known-bad parts"
    )
    assert "without held-out good images" in describe_known_bad({**facts, "found": None})
