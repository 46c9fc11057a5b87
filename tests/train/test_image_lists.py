"""A resumed run has the images that it began with, whatever comes into the folder or leaves it meanwhile."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import Category, load_category
from dmdd_edge.data.datasets.repeats import fingerprint_of
from dmdd_edge.errors import DataError, TrainingError
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.config import make_config
from dmdd_edge.train.continuation import check_images
from dmdd_edge.train.image_lists import read_lists, without_lists, write_lists
from dmdd_edge.train.listener import Listener, Stopped
from dmdd_edge.train.places import category_of, with_images, without_trained
from dmdd_edge.train.run_folder import IMAGES, MODEL, STATE
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


def begun(tmp_path: Path, names: Sequence[str], *, held_out: int = 3) -> tuple[Path, Path]:
    """A data set of one category with images of these names, and the folder of a run that began with them."""
    root, folder = tmp_path / "data", tmp_path / "run"
    for number, name in enumerate(names):
        add(root / "cat" / name, number)
    category = load_category(root, "cat")
    paths = category.usable
    folder.mkdir()
    (folder / STATE).touch()
    images = SimpleNamespace(train_paths=paths[held_out:], holdout_paths=paths[:held_out])
    write_lists(folder, category, images)  # type: ignore[arg-type]  # its paths are all that counts
    return root, folder


def add(path: Path, number: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    cv2.imwrite(str(path), np.random.default_rng(number).integers(0, 256, (48, 48, 3), np.uint8))


def restricted(root: Path, folder: Path) -> tuple[Category, list[str]]:
    category = load_category(root, "cat")
    lists = read_lists(folder, category)
    assert lists is not None
    return lists.restrict(category)


FLAT = [f"{number:03}.png" for number in range(25)]


@pytest.mark.parametrize(
    ("later", "elsewhere"),
    [
        pytest.param(["bad/0.png"], 5, id="every fifth good image would be a test image"),
        pytest.param(["good/0.png"], 25, id="another layout"),
        pytest.param(["train/good/0.png", "test/good/1.png"], 25, id="a data set around it"),
    ],
)
def test_other_folders_do_not_change_the_use_of_an_image(
    tmp_path: Path, later: list[str], elsewhere: int
) -> None:
    root, folder = begun(tmp_path, FLAT)
    for number, name in enumerate(later):
        add(root / "cat" / name, 100 + number)
    category, notes = restricted(root, folder)
    assert [path.name for path in category.usable] == FLAT
    assert not {item.path.name for item in category.test} & set(FLAT)
    [note] = [line for line in notes if "stay" in line]
    number = int(note.split()[1])
    assert 0 < number <= elsewhere
    today = {path.name for path in load_category(root, "cat").train if path.parent == root / "cat"}
    assert number == len(set(FLAT) - today)
    rows = {(row.folder, row.use): row.images for row in category.folders}
    assert rows[".", "training"] == 25
    assert not {(".", "test, good"), (".", "left out")} & rows.keys()


def test_a_mask_that_comes_later_takes_no_image_out(tmp_path: Path) -> None:
    root, folder = begun(tmp_path, [f"train/good/{name}" for name in FLAT])
    mask = np.zeros((48, 48), np.uint8)
    mask[10:20, 10:20] = 255
    (root / "cat" / "ground_truth" / "good").mkdir(parents=True)
    cv2.imwrite(str(root / "cat" / "ground_truth" / "good" / "001_mask.png"), mask)
    assert "001.png" not in [path.name for path in load_category(root, "cat").train]
    category, [note] = restricted(root, folder)
    assert [path.name for path in category.usable] == FLAT
    assert note.startswith("note: 1 image stays in the training")


def test_images_that_came_later_are_left_out_in_the_table(tmp_path: Path) -> None:
    root, folder = begun(tmp_path, FLAT)
    add(root / "cat" / "monday" / "000.png", 100)
    category, _ = restricted(root, folder)
    assert [(row.folder, row.images, row.use) for row in category.folders] == [
        (".", 25, "training"),
        ("monday", 1, "left out"),
    ]


def test_another_image_of_the_same_name_is_an_error(tmp_path: Path) -> None:
    """As where a file was removed and the others were numbered again."""
    root, folder = begun(tmp_path, FLAT)
    for number in range(20, 24):
        (root / "cat" / FLAT[number + 1]).replace(root / "cat" / FLAT[number])
    add(root / "cat" / FLAT[24], 100)
    with pytest.raises(
        DataError,
        match=r"^5 of 25 images that this training began with have other content now \(first: .*020",
    ) as error:
        restricted(root, folder)
    assert "--overwrite" in (error.value.fix or "")


def test_the_content_is_compared_until_the_run_is_complete(tmp_path: Path) -> None:
    root, folder = begun(tmp_path, FLAT)
    (folder / MODEL).touch()
    add(root / "cat" / FLAT[3], 100)
    with pytest.raises(DataError, match=r"^1 of 25 images .* other content now"):
        restricted(root, folder)


def test_a_changed_pixel_is_another_content(tmp_path: Path) -> None:
    """In a file without compression, whose size stays."""
    image = np.full((400, 600, 3), 255, np.uint8)
    cv2.imwrite(str(tmp_path / "a.bmp"), image)
    before = fingerprint_of(tmp_path / "a.bmp")
    os.utime(tmp_path / "a.bmp", (0, 0))
    assert fingerprint_of(tmp_path / "a.bmp") == before
    image[130, 20] = 0
    cv2.imwrite(str(tmp_path / "a.bmp"), image)
    assert fingerprint_of(tmp_path / "a.bmp") != before


def test_images_of_a_continued_run_are_found_by_any_path(tmp_path: Path) -> None:
    root, _ = begun(tmp_path, FLAT)
    link = tmp_path / "link"
    link.symlink_to(root)
    used = [tmp_path / "run" / ".." / "data" / "cat" / name for name in FLAT[:12]]
    used += [link / "cat" / name for name in FLAT[12:]]
    add(root / "cat" / "bad" / "0.png", 100)
    category = load_category(root, "cat")
    assert any(item.is_good for item in category.test)
    assert not any(item.is_good for item in without_trained(category, used).test)


def test_a_mask_that_comes_later_takes_no_image_out_of_a_continued_run(tmp_path: Path) -> None:
    root, _ = begun(tmp_path, FLAT)
    category = load_category(root, "cat")
    facts = {
        "train": [str(path) for path in category.train[:20]],
        "holdout": [str(path) for path in category.train[20:]],
    }
    category.skip(category.train[3], "a mask marks a defect in it, so it is not used as a good part")
    assert len(with_images(category, facts).usable) == 25


def test_missing_or_other_images_of_a_continued_run_are_an_error(tmp_path: Path) -> None:
    root, folder = begun(tmp_path, FLAT)
    paths = [str(root / "cat" / name) for name in FLAT]
    facts = {
        "train": paths[:20],
        "holdout": paths[20:],
        "fingerprints": [fingerprint_of(Path(path)) for path in paths],
    }
    check_images(folder, facts)
    add(root / "cat" / FLAT[3], 100)
    with pytest.raises(DataError, match=r"1 of 25 images .* other content"):
        check_images(folder, facts)
    del facts["fingerprints"]
    check_images(folder, facts)
    (root / "cat" / FLAT[22]).unlink()
    with pytest.raises(DataError, match=r"1 of 25 images .* missing"):
        check_images(folder, facts)


def test_a_file_that_was_skipped_keeps_its_place_and_stays_unread(tmp_path: Path) -> None:
    """The tiles of an image depend on its place among the others."""
    root, folder = begun(tmp_path, FLAT)
    facts = json.loads((folder / IMAGES).read_text())
    (folder / IMAGES).write_text(json.dumps(facts | {"skipped": [["003a.png", "it is broken"]]}))
    category, notes = restricted(root, folder)
    assert [path.name for path in category.train] == [*FLAT[:4], "003a.png", *FLAT[4:]]
    assert [path.name for path in category.usable] == FLAT
    assert not notes


@pytest.mark.parametrize(
    "change",
    [
        {"train": "text"},
        {"train": [7]},
        {"train": []},
        {"train": ["a" * 5000]},
        {"holdout": None},
        {"holdout": ["004.png"]},
        {"skipped": ["abc"]},
        {"skipped": [["abc"]]},
        {"skipped": [["003.png", 5]]},
        {"root": 1},
        {"fingerprints": ["abc"]},
        {"fingerprints": {}},
    ],
)
def test_damaged_lists_are_an_error(tmp_path: Path, change: dict[str, Any]) -> None:
    root, folder = begun(tmp_path, FLAT)
    facts = json.loads((folder / IMAGES).read_text())
    (folder / IMAGES).write_text(json.dumps(facts | change))
    with pytest.raises(TrainingError, match="damaged") as error:
        restricted(root, folder)
    assert "--overwrite" in (error.value.fix or "")


def test_missing_lists_are_said(tmp_path: Path) -> None:
    root, folder = begun(tmp_path, FLAT)
    (folder / IMAGES).unlink()
    assert read_lists(folder, load_category(root, "cat")) is None
    [note] = without_lists(folder)
    assert "split again" in note
    (folder / STATE).unlink()
    assert without_lists(folder) == []


def test_a_finished_run_is_not_tested_on_its_own_images(tmp_path: Path) -> None:
    root, _ = begun(tmp_path, FLAT)
    facts = {"train": [str(root / "cat" / name) for name in FLAT], "holdout": []}
    add(root / "cat" / "bad" / "0.png", 100)
    category = load_category(root, "cat")
    assert any(item.is_good for item in category.test)
    config = make_config("edge", data=root, category="cat")
    run = Run(tmp_path, config, facts, None)  # type: ignore[arg-type]  # no network
    category = category_of(run)
    assert [item.path.name for item in category.test] == ["0.png"]
    assert len(category.train) == 25
    assert [path.name for path, reason in category.notes if "trained on or held out" in reason]


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
