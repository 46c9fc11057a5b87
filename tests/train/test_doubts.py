"""What is said about number, sizes and repetition of the training images."""

from __future__ import annotations

import shutil
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.datasets.repeats import repeats
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.train.data import load_images
from dmdd_edge.train.doubts import doubts


def test_enough_images_of_one_size_raise_no_doubt() -> None:
    assert doubts({(1024, 1024): 209}, 256) == []


def test_few_images() -> None:
    [line] = doubts({(300, 300): 3}, 256)
    assert line.startswith("3 good images are few")


def test_large_images_name_the_smallest_defect() -> None:
    [line] = doubts({(4000, 3000): 50}, 256)
    # A pixel of the network's is 15.6 of the picture's; a defect needs three.
    assert "smaller than about 47 pixels" in line
    assert "--image-size 512" in line
    assert "--image-size" not in doubts({(8000, 6000): 50}, 1024)[0]


def test_a_few_large_images_among_small_ones_are_named() -> None:
    lines = doubts({(256, 256): 40, (8000, 6000): 10}, 256)
    [line] = [line for line in lines if "likely missed" in line]
    assert line.startswith("images of 8000 x 6000 pixels (10 of 50) are reduced")
    assert "smaller than about 94 pixels" in line  # 31.25 pixels of them are one of the input's
    # Of a crop the shorter side counts: 2000 / 256 are 7.8, 800 / 256 are 3.1.
    lines = doubts({(2000, 2000): 20, (9000, 800): 20}, 256, Preprocess(fit="crop"))
    [line] = [line for line in lines if "likely missed" in line]
    assert line.startswith("images of 2000 x 2000")


def test_mixed_sizes() -> None:
    line = doubts({(96, 96): 20, (300, 40): 1, (192, 192): 1}, 64)[0]
    assert "3 sizes (20 of 96 x 96, 1 of 300 x 40, 1 of 192 x 192)" in line
    assert "look different" in line
    [line] = doubts({(96, 96): 20, (192, 192): 1}, 64)
    assert "look different" not in line


@pytest.fixture
def part(tmp_path: Path) -> Path:
    rng = np.random.default_rng(0)
    for name in ("train/good/1", "train/good/2", "train/good/3", "test/good/1", "test/dent/2"):
        path = tmp_path / "part" / f"{name}.bmp"  # all files of one size
        path.parent.mkdir(parents=True, exist_ok=True)
        cv2.imwrite(str(path), rng.integers(0, 256, (40, 60, 3), dtype=np.uint8))
    return tmp_path / "part"


def test_files_with_the_same_content(part: Path) -> None:
    assert repeats(load_category(part)) == []
    shutil.copy(part / "train/good/1.bmp", part / "train/good/copy.bmp")
    shutil.copy(part / "train/good/1.bmp", part / "test/good/seen.bmp")
    (part / "test/dent/seen.bmp").symlink_to(part / "train/good/2.bmp")
    twice, leaked = repeats(load_category(part))
    assert twice.startswith("1 of 4 training images has the same content")
    assert leaked.startswith("2 test images are also among the training images")


def test_an_image_that_the_region_does_not_fit_is_left_out_by_name(part: Path) -> None:
    cv2.imwrite(str(part / "train/good/small.png"), np.zeros((20, 20, 3), np.uint8))
    category = load_category(part)
    found = load_images(category, Preprocess(roi=(10, 5, 40, 30)), 32, 0.0, 0)
    assert [path.name for path in found.train_paths] == ["1.bmp", "2.bmp", "3.bmp"]
    [(path, reason)] = category.skipped
    assert path.name == "small.png"
    assert "20 x 20" in reason
    with pytest.raises(DmddError, match=r"1\.bmp: the region of interest.*\(4 of 4 images do not fit\)"):
        load_images(load_category(part), Preprocess(roi=(10, 5, 90, 30)), 32, 0.0, 0)


def test_what_a_crop_leaves_out_is_named() -> None:
    crop = Preprocess(fit="crop")
    (line,) = doubts({(320, 256): 40, (256, 256): 60}, 256, crop)[1:]
    # The middle 256 x 256 of 320 x 256 is four fifths.
    assert line.startswith("--fit crop: up to 20.0% of the area of 40 images is not inspected")
    assert doubts({(256, 256): 100}, 256, crop) == []
    assert doubts({(320, 256): 100}, 256, Preprocess(fit="pad")) == []
