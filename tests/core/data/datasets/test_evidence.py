"""What files say of their parts by their names and masks, and folders that users name themselves."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import Category, load_category
from dmdd_edge.data.datasets.roles import Role, file_role, names_of, role_of
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.evaluation.test_set import load_test_set

Plant = Callable[[Mapping[str, int]], Path]
_NOISE = np.random.default_rng(0).integers(0, 256, (24, 24, 3), dtype=np.uint8)
_NOTHING = np.zeros((24, 24), np.uint8)


def mark(first: int) -> np.ndarray:
    """A mask of four rows."""
    mask = _NOTHING.copy()
    mask[first : first + 4, 3:9] = 255
    return mask


@pytest.fixture
def plant(tmp_path: Path) -> Plant:
    """Make a folder of files: -1 is a picture, 0 an empty mask, another number a mask from this row on."""

    def make(files: Mapping[str, int]) -> Path:
        for name, kind in files.items():
            path = tmp_path / "part" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            image = _NOISE if kind < 0 else _NOTHING if kind == 0 else mark(kind)
            path.write_bytes(cv2.imencode(path.suffix, image)[1].tobytes())
        return tmp_path / "part"

    return make


def pictures(*names: str) -> dict[str, int]:
    return dict.fromkeys(names, -1)


def used(category: Category) -> tuple[list[str], dict[str, str]]:
    tests = {item.path.relative_to(category.root).as_posix(): item.defect for item in category.test}
    return [path.relative_to(category.root).as_posix() for path in category.train], tests


@pytest.mark.parametrize(
    ("stem", "role", "word"),
    [
        ("NG_001", Role.BAD, "ng"),
        ("NG001", Role.BAD, "ng"),
        ("part-7_bad", Role.BAD, "bad"),
        ("normal_map_bad", Role.BAD, "bad"),
        ("no_defect_01", Role.GOOD, "no_defect"),
        ("cam1_not_ok", Role.BAD, "not_ok"),
        ("不良_01", Role.BAD, "不良"),
        ("3bad4f2", Role.OTHER, ""),
        ("000", Role.OTHER, ""),
    ],
)
def test_words_of_a_file_name(stem: str, role: Role, word: str) -> None:
    assert file_role(stem) == (role, word)


@pytest.mark.parametrize(
    "name", ["良品", "合格", "Bueno", "conforme", "dobré", "хорошие", "양품", "ＯＫ", "GoodParts"]
)
def test_good_in_other_languages(name: str) -> None:
    assert role_of(name) is Role.GOOD


@pytest.mark.parametrize(
    "name", ["不良", "不合格", "Malo", "non conforme", "kötü", "брак", "불량", "NG-Teile", "Défauts"]
)
def test_bad_in_other_languages(name: str) -> None:
    assert role_of(name) is Role.BAD


@pytest.mark.parametrize("name", ["train_good", "trainGood", "good-train", "TRAIN OK"])
def test_a_name_of_two_folders(name: str) -> None:
    assert role_of(name) is Role.TRAIN
    assert [role_of(part) for part in names_of(name)] == [Role.TRAIN, Role.GOOD]


def test_folders_of_a_split_and_a_label(plant: Plant) -> None:
    files = pictures("train_good/0.png", "test_good/1.png", "test_bad/2.png")
    category = load_category(plant({**files, "test_masks/bad/2.png": 5}))
    assert used(category) == (["train_good/0.png"], {"test_good/1.png": "good", "test_bad/2.png": "bad"})
    assert category.test[1].mask == category.root / "test_masks/bad/2.png"


def test_views_of_a_split(plant: Plant) -> None:
    names = ("train/ok_front/0.png", "train/def_front/1.png", "test/ok_front/2.png", "test/def_front/3.png")
    tests = {"test/ok_front/2.png": "good", "test/def_front/3.png": "def_front"}
    assert used(load_category(plant(pictures(*names)))) == (["train/ok_front/0.png"], tests)


def test_names_beside_good_are_defects(plant: Plant) -> None:
    files = pictures("good/0.png", "scratch/0.png", "dent/0.png")
    category = load_category(plant({**files, "ground_truth/scratch/0_mask.png": 4}))
    assert used(category) == (["good/0.png"], {"dent/0.png": "dent", "scratch/0.png": "scratch"})
    assert [item.mask is not None for item in category.test] == [False, True]
    assert "a name beside good/ is that of a defect" in category.table()


def test_an_unknown_name_beside_good_and_bad_is_left_out(plant: Plant) -> None:
    category = load_category(plant(pictures("good/0.png", "bad/1.png", "new/2.png")))
    assert used(category) == (["good/0.png"], {"bad/1.png": "bad"})
    assert "new" in category.table()


def test_defective_parts_beside_train(plant: Plant) -> None:
    assert used(load_category(plant(pictures("train/0.png", "NG/1.png")))) == (
        ["train/0.png"],
        {"NG/1.png": "NG"},
    )


def test_a_category_named_good(plant: Plant) -> None:
    category = load_category(plant(pictures("good/train/good/0.png", "good/test/scratch/1.png")))
    assert used(category) == (["train/good/0.png"], {"test/scratch/1.png": "scratch"})


@pytest.mark.parametrize("folder", ["", "good/", "train/", "train/good/"])
def test_images_whose_names_say_bad_are_not_trained_on(plant: Plant, folder: str) -> None:
    category = load_category(plant(pictures(f"{folder}0.png", f"{folder}OK_1.png", f"{folder}NG_2.png")))
    assert used(category)[0] == [f"{folder}0.png", f"{folder}OK_1.png"]
    assert "names with ng" in category.table()


def test_a_word_that_all_good_parts_share_is_the_parts(plant: Plant) -> None:
    names = ["train/good/reject_cam_0.png", "train/good/reject_cam_1.png"]
    assert used(load_category(plant(pictures(*names))))[0] == names


@pytest.mark.parametrize("names", [["1_bad"], ["1_bad", "2_ng"]])
def test_one_name_alone_or_several_words_are_not_the_parts(plant: Plant, names: list[str]) -> None:
    files = ["train/good/0.png", *(f"test/good/{name}.png" for name in names)]
    category = load_category(plant(pictures(*files)))
    assert not [image for image in category.test if image.is_good]


def test_a_folder_of_defective_parts_alone_is_refused(plant: Plant) -> None:
    with pytest.raises(DmddError, match="names with bad"):
        load_category(plant(pictures("0_bad.png", "1_bad.png")))


def test_names_tell_test_images_apart(plant: Plant) -> None:
    category = load_category(plant(pictures("train/0.png", "test/1_good.png", "test/2_bad.png")))
    assert used(category) == (["train/0.png"], {"test/1_good.png": "good", "test/2_bad.png": "bad"})


def test_masks_beside_images_tell_them_apart(plant: Plant) -> None:
    """As in KolektorSDD2: image and mask side by side, black masks for good parts."""
    files = pictures(*(f"{split}/{number}.png" for split in ("train", "test") for number in (0, 1)))
    masks = {f"{split}/{number}_GT.png": 6 * number for split in ("train", "test") for number in (0, 1)}
    category = load_category(plant({**files, **masks}))
    assert used(category) == (["train/0.png"], {"test/0.png": "good", "test/1.png": "defect"})
    assert category.test[1].mask == category.root / "test/1_GT.png"


def test_a_mask_of_the_same_name_beside_a_photo(plant: Plant) -> None:
    """As in Real-IAD: 1.jpg and its mask 1.png."""
    category = load_category(plant({**pictures("OK/0.jpg", "NG/hole/1.jpg"), "NG/hole/1.png": 5}))
    assert used(category) == (["OK/0.jpg"], {"NG/hole/1.jpg": "hole"})
    assert category.test[0].mask == category.root / "NG/hole/1.png"


@pytest.mark.parametrize(
    ("images", "masks"), [("train/good", "ground_truth/good"), ("train/images", "train/masks"), ("", "masks")]
)
def test_marked_images_are_not_good(plant: Plant, images: str, masks: str) -> None:
    names = [f"{images}/{number}.png".lstrip("/") for number in (0, 1, 2)]
    category = load_category(plant({**pictures(*names), f"{masks}/0.png": 0, f"{masks}/1.png": 3}))
    assert used(category)[0] == [names[0], names[2]]
    assert [path.name for path, reason in category.skipped if "marks a defect" in reason] == ["1.png"]


def test_masks_of_other_images_do_not_mark_training_images(plant: Plant) -> None:
    files = pictures("train/good/0.png", "train/good/1.png", "test/dent/0.png")
    category = load_category(plant({**files, "ground_truth/0.png": 3, "ground_truth/1.png": 3}))
    assert used(category) == (["train/good/0.png", "train/good/1.png"], {"test/dent/0.png": "dent"})


@pytest.mark.parametrize("folder", ["test/dent_mask", "ground_truth/dent_masks", "test_gt/dent"])
def test_a_folder_of_masks_by_its_name(plant: Plant, folder: str) -> None:
    category = load_category(plant({**pictures("train/good/0.png", "test/dent/1.png"), f"{folder}/1.png": 3}))
    assert used(category)[1] == {"test/dent/1.png": "dent"}
    assert category.test[0].mask == category.root / folder / "1.png"


def test_several_masks_are_the_truth_together(plant: Plant) -> None:
    masks = {
        "ground_truth/dent/1/000.png": 2,
        "ground_truth/dent/1/001.png": 12,
        "ground_truth/dent/1/2.png": 0,
    }
    category = load_category(plant({**pictures("train/good/0.png", "test/dent/1.png"), **masks}))
    truth = load_test_set(category, Preprocess(), 24).masks[0]
    assert np.array_equal(truth, (mark(2) | mark(12)) > 0)
