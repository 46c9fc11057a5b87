"""Layouts told apart, files counted, and every way to be wrong named."""

from __future__ import annotations

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import list_categories, load_category, read_images, summarize
from dmdd_edge.errors import DmddError

PIXELS = np.arange(32 * 32 * 3, dtype=np.uint8).reshape(32, 32, 3)


def put(root, *names):
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), PIXELS)


@pytest.fixture
def mvtec(tmp_path):
    root = tmp_path / "mvtec"
    put(root, "nut/train/good/000.png", "nut/train/good/001.png", "nut/test/good/000.png")
    put(root, "nut/test/bent/000.png", "nut/test/bent/001.png", "nut/test/a_cut/000.png")
    put(
        root,
        "nut/ground_truth/bent/000_mask.png",
        "nut/ground_truth/a_cut/000_mask.png",
        "bolt/train/good/0.png",
    )
    put(root, "overview.png", "nut/overview.png")
    return root


def test_mvtec(mvtec):
    category = load_category(mvtec, "nut")
    assert (category.name, category.layout) == ("nut", "mvtec")
    assert [p.name for p in category.train] == ["000.png", "001.png"]
    assert [(i.defect, i.path.stem) for i in category.test] == [
        ("good", "000"),
        ("a_cut", "000"),
        ("bent", "000"),
        ("bent", "001"),
    ]
    assert category.defects == ["a_cut", "bent"]
    assert [i.mask and i.mask.relative_to(mvtec).as_posix() for i in category.test] == [
        None,
        "nut/ground_truth/a_cut/000_mask.png",
        "nut/ground_truth/bent/000_mask.png",
        None,
    ]
    # bent/001 has no mask: kept, noted, and out of the pixel metrics.
    assert [i.has_mask for i in category.test] == [True, True, True, False]
    assert [(p.parent.name, p.name) for p, _ in category.notes] == [("bent", "001.png")]
    assert "no mask" in category.describe()
    assert category.skipped == []
    category.require_test()


def test_the_categorys_own_folder_will_do(mvtec):
    assert load_category(mvtec / "nut") == load_category(mvtec, "nut")
    assert load_category(mvtec / "nut", "nut").name == "nut"


def test_btad(tmp_path):
    put(tmp_path, "01/train/ok/0000.bmp", "01/test/ok/0001.bmp", "01/test/ko/0002.bmp", "01/test/ko/0003.bmp")
    put(tmp_path, "01/ground_truth/ko/0002.png", "01/ground_truth/ko/0003.bmp")
    category = load_category(tmp_path)  # the only one there
    assert (category.name, category.layout, len(category.train)) == ("01", "btad", 1)
    assert [(i.defect, i.mask and i.mask.name) for i in category.test] == [
        ("good", None),
        ("ko", "0002.png"),
        ("ko", "0003.bmp"),
    ]
    assert category.notes == []


def test_mpdd(tmp_path):
    put(tmp_path, "tubes/train/good/0.png", "tubes/test/anomalous/1.png")
    put(tmp_path, "tubes/ground_truth/anomalous/1_mask.png")
    category = load_category(tmp_path, "tubes")
    assert category.layout == "mpdd"
    assert category.test[0].mask.name == "1_mask.png"


def test_a_plain_folder_is_a_category(tmp_path):
    put(tmp_path, "housing/10.jpg", "housing/9.jpg")
    category = load_category(tmp_path / "housing")
    assert (category.name, category.layout) == ("housing", "folder")
    assert [p.name for p in category.train] == ["9.jpg", "10.jpg"]
    assert "no test images" in category.describe()
    with pytest.raises(DmddError, match="cannot be evaluated"):
        category.require_test()
    assert load_category(tmp_path / "housing", "cover").name == "cover"
    assert load_category(tmp_path, "housing").train == category.train


def test_a_folder_with_good_and_bad_learns_from_good_alone(tmp_path):
    put(tmp_path, "lid/good/1.png", "lid/good/2.png", "lid/bad/3.png")
    category = load_category(tmp_path / "lid")
    assert (category.name, category.layout, len(category.train)) == ("lid", "folder", 2)


def test_a_lone_folder_of_pictures_is_not_chosen_unasked(tmp_path):
    put(tmp_path, "data/textures/sheet.png")
    with pytest.raises(DmddError, match="textures"):
        load_category(tmp_path / "data")


def test_errors_name_the_categories(mvtec, tmp_path):
    with pytest.raises(DmddError, match="no such folder"):
        load_category(tmp_path / "absent")
    with pytest.raises(DmddError, match="no category 'nuts'; found: bolt, nut"):
        load_category(mvtec, "nuts")
    with pytest.raises(DmddError, match="no category 'bold'") as caught:
        load_category(mvtec, "bold")
    assert caught.value.fix.startswith("Did you mean 'bolt'?")
    with pytest.raises(DmddError, match="no such folder") as caught:
        load_category(mvtec.with_name(mvtec.name + "x"))
    assert caught.value.fix.startswith(f"Did you mean {mvtec.name!r}? Check the path")
    with pytest.raises(DmddError, match="bolt, nut") as caught:
        load_category(mvtec)
    assert "--category" in caught.value.fix
    (tmp_path / "empty").mkdir()
    with pytest.raises(DmddError, match="no category and no images"):
        load_category(tmp_path / "empty")
    (tmp_path / "bare/x/train/good").mkdir(parents=True)
    with pytest.raises(DmddError, match="no training images"):
        load_category(tmp_path / "bare", "x")


def test_listing(mvtec, tmp_path):
    assert list_categories(mvtec) == ["bolt", "nut"]
    put(tmp_path / "plain", "b/1.png", "a/1.png", "good/1.png")
    assert list_categories(tmp_path / "plain") == ["a", "b"]


def test_empty_files_are_skipped_at_once_and_broken_ones_on_reading(mvtec):
    folder = mvtec / "nut/train/good"
    (folder / "002.png").touch()
    (folder / "003.png").write_bytes(b"\x89PNG broken")
    category = load_category(mvtec, "nut")
    assert [p.name for p in category.train] == ["000.png", "001.png", "003.png"]
    read = list(read_images(category.train, category.skip))
    assert [p.name for p, _ in read] == ["000.png", "001.png"]
    np.testing.assert_array_equal(read[0][1], PIXELS)
    assert [p.name for p, _ in category.skipped] == ["002.png", "003.png"]
    assert "2 files: good/002.png (the file is empty (0 bytes)), good/003.png (the file ends too early" in (
        category.describe()
    )


def test_summary_names_a_few_and_counts_the_rest(tmp_path):
    files = [(tmp_path / "x" / f"{k}.png", "broken") for k in range(5)]
    assert summarize(files, shown=2) == "5 files: x/0.png (broken), x/1.png (broken) and 3 more"


@pytest.mark.data
@pytest.mark.parametrize(
    ("name", "train", "good", "bad", "types"), [("screw", 320, 41, 119, 5), ("bottle", 209, 20, 63, 3)]
)
def test_real_categories_are_complete(data_root, name, train, good, bad, types):
    category = load_category(data_root / "mvtec", name)
    assert len(category.train) == train
    assert sum(i.is_good for i in category.test) == good
    assert sum(i.mask is not None for i in category.test) == bad
    assert len(category.defects) == types
    assert not category.notes
    assert not category.skipped
