"""Which mask belongs to which image."""

from __future__ import annotations

from pathlib import Path

import pytest

from dmdd_edge.data.datasets.truth import Placed, pair


def at(name: str, *keys: str) -> Placed:
    return Placed(Path("/".join((*keys, name))), keys)


def paired(images: list[Placed], masks: list[Placed]) -> dict[str, str]:
    found = pair(images, masks).masks.items()
    return {image.as_posix(): " ".join(mask.as_posix() for mask in own) for image, own in found}


@pytest.mark.parametrize(
    "name",
    [
        "000.png", "000_mask.png", "000_GT.bmp", "000-mask.png", "mask_000.png", "000.jpg_mask.png",
        "gt-000.tif", "000_label.png", "000_ground_truth.png",
    ],
)  # fmt: skip
@pytest.mark.parametrize("folder", [("dent",), ()])
def test_names_of_one_image(name: str, folder: tuple[str, ...]) -> None:
    mask = at(name, *folder)
    assert paired([at("000.png", "dent")], [mask]) == {"dent/000.png": mask.path.as_posix()}


@pytest.mark.parametrize("name", ["001.png", "000_1.png", "0000.png", "x000_mask.png"])
def test_another_name_is_another_image(name: str) -> None:
    found = pair([at("000.png", "dent")], [at(name, "dent")])
    assert found.masks == {}
    assert [path.name for path, _ in found.left_over] == [name]


def test_the_images_own_name_goes_before_mask_and_that_before_other_words() -> None:
    names = ["000_GT.png", "000.png", "000_mask.png"]
    for count, expected in ((3, "000.png"), (1, "000_GT.png")):
        masks = [at(name, "dent") for name in names[:count]]
        assert paired([at("000.jpg", "dent")], masks) == {"dent/000.jpg": f"dent/{expected}"}


def test_the_nearest_folder_goes_first() -> None:
    image = at("000.png", "dent", "day1")
    masks = [at("000.png"), at("000.png", "dent"), at("000.png", "dent", "day1")]
    for count in (3, 2, 1):
        found = pair([image], masks[:count])
        assert found.masks == {image.path: (masks[count - 1].path,)}
        assert len(found.left_over) == count - 1


def test_a_mask_of_another_defect_is_not_taken() -> None:
    assert paired([at("000.png", "dent")], [at("000_mask.png", "hole")]) == {}


def test_one_mask_for_two_images_is_for_neither() -> None:
    found = pair([at("000.png", "dent"), at("000.png", "hole")], [at("000.png")])
    assert found.masks == {}
    assert "several images" in found.left_over[0][1]


def test_the_defect_may_be_part_of_the_name() -> None:
    images = [at("000.png", "dent"), at("000.png", "hole")]
    masks = [at("dent_000_mask.png"), at("hole_000.png")]
    assert paired(images, masks) == {"dent/000.png": "dent_000_mask.png", "hole/000.png": "hole_000.png"}


def test_a_folder_for_each_image() -> None:
    images = [at("000.png", "dent"), at("001.png", "dent")]
    masks = [at("000.png", "dent", "000"), at("000.png", "dent", "001"), at("001.png", "dent", "001")]
    # Several masks of one image are its truth together, as in MVTec LOCO.
    assert paired(images, masks) == {
        "dent/000.png": "dent/000/000.png",
        "dent/001.png": "dent/001/000.png dent/001/001.png",
    }


def test_masks_that_differ_in_a_number_belong_together() -> None:
    images = [at("000.png", "dent"), at("001.png", "dent")]
    names = ("000_mask.png", "000_mask_1.png", "000_mask2.png", "001.png", "001_mask.png")
    assert paired(images, [at(name, "dent") for name in names]) == {
        "dent/000.png": "dent/000_mask.png dent/000_mask_1.png dent/000_mask2.png",
        "dent/001.png": "dent/001.png",
    }


def test_a_folder_of_a_defect_is_not_that_of_an_image_with_its_name() -> None:
    images = [at("scratch.png", "dent"), at("000.png", "scratch")]
    masks = [at("000.png", "scratch"), at("001.png", "scratch")]
    assert paired(images, masks) == {"scratch/000.png": "scratch/000.png"}
