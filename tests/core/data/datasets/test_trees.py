"""Folders as people lay them out: what is trained on, what is tested on, what is left out."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import Category, list_categories, load_category
from dmdd_edge.errors import DmddError

Plant = Callable[[Iterable[str]], Path]
_, _DATA = cv2.imencode(".png", np.arange(24 * 24 * 3, dtype=np.uint8).reshape(24, 24, 3))


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Make a folder `part` of the images named."""

    def make(names: Iterable[str]) -> Path:
        root = tmp_path / "part"
        for name in names:
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(_DATA.tobytes())
        return root

    return make


def used(category: Category) -> tuple[list[str], dict[str, list[str]]]:
    """The training images and the test images by label, as paths below the root."""
    tests: dict[str, list[str]] = {}
    for image in category.test:
        tests.setdefault(image.defect, []).append(image.path.relative_to(category.root).as_posix())
    return [path.relative_to(category.root).as_posix() for path in category.train], tests


def left_out(category: Category) -> dict[str, int]:
    return {row.folder: row.images for row in category.folders if row.use == "left out"}


@pytest.mark.parametrize("good", ["Good", "OK", "normal", "good_parts", "i.O.", "defect-free"])
@pytest.mark.parametrize("bad", ["NG", "bad", "Defective", "abnormal", "n.i.O.", "KO", "not_ok", "anomaly_1"])
def test_good_beside_bad(plant: Plant, good: str, bad: str) -> None:
    category = load_category(plant([f"{good}/1.png", f"{good}/2.png", f"{bad}/3.png"]))
    assert used(category) == ([f"{good}/1.png", f"{good}/2.png"], {bad: [f"{bad}/3.png"]})


@pytest.mark.parametrize("train", ["train/good", "Train/Good", "TRAIN/OK", "train", "training/normal/day1"])
@pytest.mark.parametrize("test", ["test", "Testing", "test_public"])
def test_splits_in_any_spelling(plant: Plant, train: str, test: str) -> None:
    root = plant([f"{train}/1.png", f"{test}/Good/2.png", f"{test}/scratch/3.png"])
    expected = {"good": [f"{test}/Good/2.png"], "scratch": [f"{test}/scratch/3.png"]}
    assert used(load_category(root)) == ([f"{train}/1.png"], expected)


def test_images_are_found_at_any_depth(plant: Plant) -> None:
    root = plant(
        [
            "train/good/good/1.png", "train/train/good/2026-11-28/a/2.png",
            "test/good/late/3.png", "test/day1/good/4.png", "test/dent/dent/5.png", "test/day2/dent/6.png",
        ]
    )  # fmt: skip
    train, tests = used(load_category(root))
    assert train == ["train/good/good/1.png", "train/train/good/2026-11-28/a/2.png"]
    assert sorted(tests["good"]) == ["test/day1/good/4.png", "test/good/late/3.png"]
    assert sorted(tests["dent"]) == ["test/day2/dent/6.png", "test/dent/dent/5.png"]


@pytest.mark.parametrize(
    "name", ["ground_truth", "GT", "masks", "Label", "annotations", "ground_truth_masks"]
)
def test_folders_of_masks(plant: Plant, name: str) -> None:
    root = plant(["train/train/1.png", "test/test/dent/2.png", f"{name}/dent/2_mask.png"])
    category = load_category(root)
    assert used(category) == (["train/train/1.png"], {"dent": ["test/test/dent/2.png"]})
    assert category.test[0].mask == root / name / "dent/2_mask.png"


def test_folders_of_days_are_one_category(plant: Plant) -> None:
    root = plant(["day1/1.png", "day2/1.png", "2026-11-28/1.png", "batch_7/1.png", "28.11.2026/1.png"])
    category = load_category(root, "housing")
    assert category.name == "housing"
    assert len(category.train) == 5
    assert [(row.images, row.why) for row in category.folders] == [(5, "from 5 folders")]


def test_visa(plant: Plant) -> None:
    root = plant(
        [
            "candle/Data/Images/Normal/000.JPG", "candle/Data/Images/Anomaly/000.JPG",
            "candle/Data/Masks/Anomaly/000.png", "fryum/Data/Images/Normal/000.JPG",
        ]
    )  # fmt: skip
    assert list_categories(root) == ["candle", "fryum"]
    category = load_category(root, "candle")
    train, tests = used(category)
    assert train == ["Data/Images/Normal/000.JPG"]
    assert tests == {"Anomaly": ["Data/Images/Anomaly/000.JPG"]}
    assert category.test[0].mask == root / "candle/Data/Masks/Anomaly/000.png"


def test_an_archive_unpacked_into_a_folder_of_its_own_name(plant: Plant) -> None:
    root = plant(["bolt/bolt/train/good/1.png", "bolt/bolt/test/good/2.png", "__MACOSX/bolt/3.png"])
    category = load_category(root)
    assert (category.name, len(category.train)) == ("bolt", 1)


def test_what_programs_leave_behind_is_left_out_and_counted(plant: Plant) -> None:
    junk = [".ipynb_checkpoints/a.png", "thumbs/b.png", "@eaDir/c.png", "__MACOSX/d.png"]
    root = plant(["train/good/1.png", "test/good/2.png", *(f"test/{name}" for name in junk)])
    for name in ("Thumbs.db", ".DS_Store", "._1.png", "desktop.ini"):
        (root / "train/good" / name).write_bytes(b"x")
    category = load_category(root)
    assert used(category) == (["train/good/1.png"], {"good": ["test/good/2.png"]})
    assert left_out(category) == {f"test/{Path(name).parent}": 1 for name in junk}
    assert category.skipped == []
    beside = load_category(plant(["flat/1.png", "flat/thumbs/2.png"]) / "flat")
    assert used(beside) == (["1.png"], {})


@pytest.mark.parametrize("bad", ["train/bad/3.png", "train/good/NG/3.png", "train/defect/day1/3.png"])
def test_defective_parts_are_never_trained_on(plant: Plant, bad: str) -> None:
    category = load_category(plant(["train/good/1.png", bad]))
    assert used(category)[0] == ["train/good/1.png"]
    assert sum(left_out(category).values()) == 1
    assert "never trained on" in category.table()


def test_names_that_say_nothing_are_left_out_beside_those_that_do(plant: Plant) -> None:
    root = plant(["good/1.png", "bad/2.png", "to_check/3.png", "to_check/4.png", "5.png"])
    category = load_category(root)
    assert used(category) == (["good/1.png"], {"bad": ["bad/2.png"]})
    assert left_out(category) == {"to_check": 2, ".": 1}
    assert "to_check     2 images  left out: the name says neither good nor defective" in category.table()
    labelless = load_category(plant(["x/train/good/1.png", "x/test/2.png"]) / "x")
    assert left_out(labelless) == {"test": 1}


def test_validation_images_test_where_nothing_else_does(plant: Plant) -> None:
    names = ["train/good/1.png", "val/good/2.png", "val/bad/3.png"]
    assert used(load_category(plant(names)))[1] == {"good": ["val/good/2.png"], "bad": ["val/bad/3.png"]}
    category = load_category(plant(["test/good/4.png"]))
    assert used(category)[1] == {"good": ["test/good/4.png"]}
    assert left_out(category) == {"val/good": 1, "val/bad": 1}


@pytest.mark.parametrize("name", ["test", "test/dent", "test/good", "ground_truth", "ground_truth/dent"])
def test_a_test_folder_is_refused_with_the_folder_to_give(plant: Plant, name: str) -> None:
    root = plant(
        [
            "train/good/1.png", "test/good/2.png", "test/dent/3.png",
            "ground_truth/dent/3_mask.png", "ground_truth/hole/4_mask.png",
        ]
    )  # fmt: skip
    with pytest.raises(DmddError, match="must not be trained on") as caught:
        load_category(root / name)
    assert f"--data {root}" in caught.value.fix
    if "/" not in name:
        with pytest.raises(DmddError):
            load_category(root, name)


@pytest.mark.parametrize("name", ["NG", "test", "defects"])
def test_a_folder_that_names_itself_defective_or_test_is_refused(plant: Plant, name: str) -> None:
    root = plant([f"{name}/1.png", f"{name}/2.png"])
    with pytest.raises(DmddError, match=r"only good parts are trained on|must not be trained on"):
        load_category(root / name, "bolt")


def test_a_sandbox_called_test_is_no_reason_to_refuse(plant: Plant) -> None:
    root = plant(["test/bolt/train/good/1.png", "test/nut/1.png"])
    assert load_category(root / "test").name == "bolt"
    assert load_category(root / "test/nut").name == "nut"


def test_several_unnamed_folders_are_listed_with_their_counts(plant: Plant) -> None:
    root = plant(["left/1.png", "right/1.png", "right/2.png"])
    with pytest.raises(DmddError, match=r"left \(1 image\), right \(2 images\)") as caught:
        load_category(root)
    assert "holds good parts only" in caught.value.fix


def test_good_images_for_the_test_are_split_off_by_name(plant: Plant) -> None:
    names = [f"good/{number}.png" for number in range(60)]
    category = load_category(plant([*names, "bad/1.png"]))
    train, tests = used(category)
    assert sorted([*train, *tests["good"]]) == sorted(names)
    assert 5 <= len(tests["good"]) <= 20
    assert [(row.use, row.images) for row in category.folders] == [
        ("training", len(train)), ("test, good", len(tests["good"])), ("test, defect bad", 1)
    ]  # fmt: skip
    # More images change nothing about those that were there.
    more = used(load_category(plant(f"good/new{number}.png" for number in range(9))))[1]["good"]
    assert [name for name in more if "new" not in name] == tests["good"]
    # Test images of one's own are enough.
    assert len(load_category(plant(["test/good/x.png"])).train) == 69


def test_few_good_images_are_all_trained_on_and_the_gap_is_said(plant: Plant) -> None:
    category = load_category(plant(["ok/1.png", "ok/2.png", "ng/3.png"]))
    assert len(category.train) == 2
    assert any("no good test images" in line for line in category.remarks())


def test_links(plant: Plant) -> None:
    root = plant(["train/good/1.png", "store/2.png", "store/deep/3.png", "test/good/4.png"])
    good = root / "train/good"
    (good / "linked.png").symlink_to(root / "test/good/4.png")
    (good / "gone.png").symlink_to("/nowhere/gone.png")
    (good / "loop.png").symlink_to(good / "loop.png")
    (good / "more").symlink_to(root / "store")
    (root / "store/deep/up").symlink_to(root / "train")
    (root / "store/self").symlink_to(root / "store/self")
    category = load_category(root)
    assert sorted(path.name for path in category.train) == ["1.png", "2.png", "3.png", "linked.png"]
    assert {path.name: reason for path, reason in category.skipped}["gone.png"] == "the link leads nowhere"
    assert {path.name for path, _ in category.skipped} == {"gone.png", "loop.png"}


def test_a_folder_that_may_not_be_entered_is_named(plant: Plant, monkeypatch: pytest.MonkeyPatch) -> None:
    root = plant(["train/good/1.png", "test/good/2.png", "test/dent/3.png"])
    scandir = os.scandir
    shut = {root / "test/dent"}

    def refusing(path: str | os.PathLike[str]) -> object:
        if Path(path) in shut:
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refusing)
    category = load_category(root)
    assert category.skipped == [(root / "test/dent", "the folder cannot be read (Permission denied)")]
    shut.add(root / "train/good")
    with pytest.raises(DmddError, match=r"no training images.*good.*Permission denied"):
        load_category(root)


def test_names_of_all_kinds(plant: Plant) -> None:
    names = [
        "good/größe 寸法 #1 100%.png",
        "good/CON.png",
        "good/a b.JPG",
        "NG/e\u0301.png",
        "masks/NG/\u00e9.png",
    ]
    category = load_category(plant(names))
    assert len(category.train) == 3
    assert category.test[0].mask is not None  # composed and decomposed letters are the same name


def test_files_of_other_kinds_are_counted(plant: Plant) -> None:
    root = plant(
        ["good/1.png", "good/a.heic", "good/b.heic", "good/readme.txt", "NG/1.png", "masks/NG/1.json"]
    )
    category = load_category(root)
    assert left_out(category) == {"good": 2, "masks/NG": 1}
    other = plant(["phone/a.heic"]) / "phone"
    with pytest.raises(DmddError, match=r"1 .heic file"):
        load_category(other)


def test_pointers_of_git_lfs_are_named(plant: Plant) -> None:
    root = plant(["train/good/1.png", "train/good/2.png"])
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 1234\n"
    (root / "train/good/2.png").write_text(pointer)
    category = load_category(root)
    assert len(category.train) == 1
    assert "Git LFS pointer" in category.skipped[0][1]
    (root / "train/good/1.png").write_text(pointer)
    with pytest.raises(DmddError, match=r"no training images.*2 files: a Git LFS pointer"):
        load_category(root)


def test_the_summary_is_for_programs(plant: Plant) -> None:
    root = plant(["train/good/1.png", "test/good/2.png", "test/dent/3.png", "junk/4.png"])
    summary = load_category(root).summary()
    assert [summary[name] for name in ("layout", "train", "test_good", "test_defective", "masks")] == [
        "mvtec", 1, 1, 1, 0
    ]  # fmt: skip
    assert summary["folders"][-1]["use"] == "left out"
    [entry] = summary["files"]
    assert (entry["file"], entry["used"]) == (str(root / "test/dent/3.png"), True)
    assert list(summary["notes"].values()) == [1]
    assert summary["left_out"] == 1


def test_test_images_alone_will_do_where_nothing_is_trained(plant: Plant) -> None:
    root = plant(["test/good/1.png", "test/dent/2.png", "ground_truth/dent/2_mask.png"])
    for place, name in ((root, "part"), (root, None), (root.parent, "part")):
        category = load_category(place, name, for_training=False)
        assert (category.name, category.train, len(category.test)) == ("part", [], 2)
        with pytest.raises(DmddError):
            load_category(place, name)
    with pytest.raises(DmddError, match="test images"):
        load_category(root / "test", for_training=False)


def test_unusual_masks_are_shown_by_an_example(plant: Plant) -> None:
    root = plant(["train/good/1.png", "test/dent/2.png", "masks/2-GT.png"])
    assert "2-GT.png is that of dent/2.png" in load_category(root).table()
    assert "is that of" not in load_category(plant(["ground_truth/dent/2_mask.png"])).table()


def test_the_split_may_be_below_the_label(plant: Plant) -> None:
    root = plant(["good/train/1.png", "good/test/2.png", "bad/test/dent/3.png", "OK/train/day1/4.png"])
    train, tests = used(load_category(root))
    assert train == ["good/train/1.png", "OK/train/day1/4.png"]
    assert tests == {"good": ["good/test/2.png"], "dent": ["bad/test/dent/3.png"]}


@pytest.mark.parametrize("odd", ["train/good/test/9.png", "train/test/9.png", "test/good/train/9.png"])
def test_a_path_of_two_splits_is_left_out(plant: Plant, odd: str) -> None:
    category = load_category(plant(["train/good/1.png", "test/good/2.png", odd]))
    assert used(category) == (["train/good/1.png"], {"good": ["test/good/2.png"]})
    assert sum(left_out(category).values()) == 1


def test_a_data_set_kept_beside_plain_images_is_left_out(plant: Plant) -> None:
    category = load_category(plant(["1.png", "2.png", "old/bolt/train/good/3.png"]))
    assert used(category) == (["1.png", "2.png"], {})
    assert left_out(category) == {"old/bolt/train/good": 1}
