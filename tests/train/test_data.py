"""Reading the training images: the split, broken files, preprocessing."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.free_memory import free_memory_mb
from dmdd_edge.train.data import TrainingImages, holdout_count, load_images


def folder_of(folder: Path, levels: list[int]) -> Path:
    folder.mkdir(exist_ok=True)
    for number, level in enumerate(levels):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((80, 120, 3), level, np.uint8))
    return folder


def load(
    folder: Path, holdout: float = 0.2, seed: int = 0, preprocess: Preprocess | None = None
) -> TrainingImages:
    return load_images(load_category(folder), preprocess or Preprocess(), 64, holdout, seed)


def test_the_split_is_whole_disjoint_and_drawn_from_the_seed(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "good", list(range(0, 200, 10)))
    found = load(folder)
    names = {path.name for path in found.train_paths}, {path.name for path in found.holdout_paths}
    assert len(found.train_paths) == 16
    assert len(found.holdout_paths) == 4
    assert names[0] | names[1] == {f"{number}.png" for number in range(20)}
    assert not names[0] & names[1]
    assert load(folder).holdout_paths == found.holdout_paths
    assert load(folder, seed=1).holdout_paths != found.holdout_paths
    for images, paths in ((found.train, found.train_paths), (found.holdout, found.holdout_paths)):
        assert images.shape[1:] == (64, 64, 3)
        for image, path in zip(images, paths, strict=True):
            assert set(np.unique(image).tolist()) == {10 * int(path.stem)}


@pytest.mark.parametrize(
    ("images", "holdout", "held"), [(10, 0.0, 0), (10, 0.01, 1), (10, 0.25, 2), (2, 0.9, 1), (3, 0.9, 2)]
)
def test_how_many_are_holdout_count(images: int, holdout: float, held: int, tmp_path: Path) -> None:
    found = load(folder_of(tmp_path / "good", [7] * images), holdout)
    assert len(found.holdout_paths) == len(found.holdout) == held
    assert len(found.train_paths) == len(found.train) == images - held


@pytest.mark.parametrize(
    ("images", "held"), [(2, 1), (4, 1), (10, 2), (39, 10), (60, 15), (80, 20), (209, 21), (320, 32)]
)
def test_small_sets_hold_out_more(images: int, held: int) -> None:
    assert holdout_count(images, None) == held


def test_broken_files_are_skipped_and_noted(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "good", [10, 20, 30])
    (folder / "cut.png").write_bytes(b"\x89PNG but no more")
    cv2.imwrite(str(folder / "tiny.png"), np.zeros((4, 4, 3), np.uint8))
    category = load_category(folder)
    found = load_images(category, Preprocess(), 64, 0.0, 0)
    assert [path.name for path in found.train_paths] == ["0.png", "1.png", "2.png"]
    assert {path.name for path, _ in category.skipped} == {"cut.png", "tiny.png"}


def test_too_few_images_say_what_was_skipped(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "good", [10])
    (folder / "cut.png").write_bytes(b"\x89PNG but no more")
    with pytest.raises(DmddError, match="at least 2") as error:
        load(folder)
    assert "cut.png" in error.value.message
    assert str(folder) in (error.value.fix or "")


def test_the_region_of_interest_is_cut_out(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "good", [10, 10])
    for path in folder.iterdir():
        image = np.full((80, 120, 3), 10, np.uint8)
        image[20:60, 30:90] = 200
        cv2.imwrite(str(path), image)
    found = load(folder, 0.0, preprocess=Preprocess(roi=(30, 20, 60, 40)))
    assert (found.train == 200).all()


def test_the_bits_of_sixteen_bit_files_are_heeded(tmp_path: Path) -> None:
    for number in range(4):
        cv2.imwrite(str(tmp_path / f"{number}.png"), np.full((80, 120), 2048, np.uint16))
    twelve = load(tmp_path, preprocess=Preprocess(bits=12))
    assert twelve.train.max() == round(2048 / 4095 * 255)
    assert not any("--bits" in line for line in twelve.doubts)
    sixteen = load(tmp_path)
    assert sixteen.train.max() == round(2048 / 65535 * 255)
    assert any("--bits 12" in line for line in sixteen.doubts)


def test_free_memory_is_that_of_this_machine() -> None:
    total = next(
        int(line.split()[1]) // 1024
        for line in Path("/proc/meminfo").read_text().splitlines()
        if line.startswith("MemTotal:")
    )
    assert 0 < free_memory_mb() < total
