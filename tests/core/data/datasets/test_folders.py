"""A test set from two folders: groups, masks by name, and folders that contradict their option."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.data.datasets.folders import from_folders, groups
from dmdd_edge.errors import DmddError


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Make files of a folder, by their paths; what they hold plays no part."""

    def make(folder: str, *files: str) -> Path:
        for file in files:
            path = tmp_path / folder / file
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(b"an image")
        return tmp_path / folder

    return make


def test_subfolders_are_groups_and_masks_are_paired_by_name(tree: Callable[..., Path]) -> None:
    good = tree("ok", "0.png", "monday/0.png", "monday/b/1.png")
    bad = tree("bad", "dent/0.png", "dent/1.png", "chip/0.png", "5.png")
    masks = tree("truth", "dent/0_mask.png", "chip/0.png", "5-GT.png", "9.png")
    category = from_folders("plate", good, bad, masks)
    assert set(category.defects) == {"dent", "chip", "defective"}
    found = {str(item.path.relative_to(bad)): item.mask for item in category.test if not item.is_good}
    assert found == {
        "dent/0.png": masks / "dent/0_mask.png",
        "dent/1.png": None,
        "chip/0.png": masks / "chip/0.png",
        "5.png": masks / "5-GT.png",
    }
    assert {path.name for path, _ in category.notes} == {"1.png", "9.png"}
    named = groups(category, good)
    assert named[good / "0.png"] == "good"
    assert named[good / "monday/0.png"] == named[good / "monday/b/1.png"] == "good/monday"
    assert named[bad / "dent/0.png"] == "dent"


def test_one_folder_is_enough_and_masks_may_be_inside(tree: Callable[..., Path]) -> None:
    good = from_folders("plate", tree("ok", "0.png"), None)
    assert [item.is_good for item in good.test] == [True]
    bad = tree("bad", "0.png", "masks/0.png")
    (item,) = from_folders("plate", None, bad, bad / "masks").test
    assert (item.defect, item.mask) == ("defective", bad / "masks" / "0.png")


def test_what_is_missing_is_asked_for_by_its_option(tree: Callable[..., Path]) -> None:
    remarks = from_folders("plate", None, tree("ng", "0.png")).remarks()
    assert [line.partition("; ")[2] for line in remarks] == ["add --good DIR", "add --masks DIR"]
    assert "nothing is measured per pixel" in remarks[1]


@pytest.mark.parametrize(
    ("good", "bad", "masks", "words"),
    [
        (None, None, None, "no images to evaluate"),
        ("ok", None, "truth", "--masks is given without --bad"),
        ("nowhere", None, None, "--good"),
        ("empty", None, None, "holds no images"),
        ("all", "all/ng", None, "overlap"),
        ("mixed", None, None, "'NG', whose name says the opposite"),
        (None, "turned", None, "'good', whose name says the opposite"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    good: str | None,
    bad: str | None,
    masks: str | None,
    words: str,
    tree: Callable[..., Path],
    tmp_path: Path,
) -> None:
    tree("ok", "0.png")
    tree("truth", "0.png")
    tree("all", "0.png", "ng/0.png")
    tree("mixed", "a/NG/0.png")
    tree("turned", "good/0.png")
    (tmp_path / "empty").mkdir()
    given = [None if name is None else tmp_path / name for name in (good, bad, masks)]
    with pytest.raises(DmddError, match=words) as error:
        from_folders("plate", *given)
    assert error.value.fix


def test_what_is_no_image_of_a_part_is_left_out_and_named(tree: Callable[..., Path], tmp_path: Path) -> None:
    good = tree("ok", "0.png", "1.png", "NG_2.png", "__MACOSX/0.png", "3.heic")
    elsewhere = tree("elsewhere", "4.png")
    (good / "linked").symlink_to(elsewhere)
    category = from_folders("plate", good, tree("bad", "dent/0.png", "dent/masks/0.png"))
    assert sorted((item.path.name, item.defect) for item in category.test) == [
        ("0.png", "dent"), ("0.png", "good"), ("1.png", "good"), ("4.png", "good")
    ]  # fmt: skip
    skipped = {path.relative_to(tmp_path).as_posix() for path, _ in category.skipped}
    assert skipped == {"ok/NG_2.png", "ok/__MACOSX/0.png", "ok", "bad/dent/masks/0.png"}


def test_masks_beside_defective_images_are_no_images(tree: Callable[..., Path]) -> None:
    bad = tree("bad", "dent/0.png", "dent/0_mask.png")
    (item,) = from_folders("plate", None, bad).test
    assert (item.path.name, item.mask) == ("0.png", bad / "dent/0_mask.png")
