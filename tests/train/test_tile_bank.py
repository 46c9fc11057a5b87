"""The bank of tiles: where they come from, how many, and that it is the same each time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import DmddError
from dmdd_edge.train import tile_bank
from dmdd_edge.train.data import TrainingImages
from dmdd_edge.train.tile_bank import load_tiles

SIZE = 64


def folder_of(folder: Path, shapes: list[tuple[int, int]]) -> Path:
    """Images without any edge, each of one gray level: 10 more in each."""
    folder.mkdir(exist_ok=True)
    for number, shape in enumerate(shapes):
        cv2.imwrite(str(folder / f"{number:02d}.png"), np.full((*shape, 3), 10 + 10 * number, np.uint8))
    return folder


def load(folder: Path, *, coarse: bool = False, **options: Any) -> TrainingImages:
    preprocess = Preprocess(tiling=Tiling(tile=128, overlap=16, coarse=coarse), **options)
    return load_tiles(load_category(folder), preprocess, SIZE, 0.25, 3, "none")


def levels(images: Any) -> set[int]:
    return set(np.unique(images).tolist())


@pytest.fixture
def dozen(tmp_path: Path) -> Path:
    return folder_of(tmp_path / "good", [(200, 300)] * 12)


def test_no_tile_of_a_held_out_image_is_in_the_bank(dozen: Path) -> None:
    found = load(dozen, coarse=True)
    trained, held = (
        {10 + 10 * int(path.stem) for path in paths} for paths in (found.train_paths, found.holdout_paths)
    )
    assert (len(trained), len(held)) == (9, 3)
    assert levels(found.train) == trained
    assert levels(found.holdout) == held


def test_each_image_has_its_share_of_the_tiles(dozen: Path) -> None:
    found = load(dozen)
    # 200 x 300 at half its size is 100 x 150: two rows of two tiles with an overlap of 8, drawn twice each;
    # across, 150 needs (150 - 8) / (64 - 8) = 2.5, so three.
    assert found.train.shape == (9 * 2 * 6, SIZE, SIZE, 3)
    counts = np.unique(found.train[:, 0, 0, 0], return_counts=True)[1]
    assert counts.tolist() == [12] * 9
    assert found.foreground is not None
    assert len(found.foreground.masks) == len(found.train)


def test_a_quarter_of_the_bank_are_whole_images(dozen: Path) -> None:
    found = load(dozen, coarse=True)
    assert len(found.train) == 108 + 36
    assert np.unique(found.train[108:, 0, 0, 0], return_counts=True)[1].tolist() == [4] * 9


def test_the_bank_keeps_to_its_budget(dozen: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    each = SIZE * SIZE * 3
    monkeypatch.setattr(tile_bank, "BUDGET", 60 * each)
    found = load(dozen, coarse=True)
    assert found.whole is not None
    assert found.train.nbytes + found.whole.images.nbytes <= 60 * each
    assert len(found.train) > 40
    # Every image has as many as any other, but for one.
    counts = np.unique(found.train[:36, 0, 0, 0], return_counts=True)[1]
    assert len(counts) == 9
    assert counts.max() - counts.min() <= 1


def test_the_same_seed_draws_the_same_tiles(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(6):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (150, 250, 3), dtype=np.uint8))
    first, second = load(folder), load(folder)
    assert np.array_equal(first.train, second.train)
    assert np.array_equal(first.holdout, second.holdout)
    category = load_category(folder)
    preprocess = Preprocess(tiling=Tiling(tile=128, overlap=16))
    other = load_tiles(category, preprocess, SIZE, 0.25, 4, "none")
    assert not np.array_equal(first.train, other.train)
    # An image's places depend on its own number and the seed alone.
    (folder / "0.png").write_bytes(b"")
    rest = load(folder)
    assert {tile.tobytes() for tile in rest.train} | {tile.tobytes() for tile in rest.holdout}


@pytest.mark.parametrize("gone", [False, True])
def test_an_image_that_is_known_to_be_of_no_use_changes_no_tile_of_others(tmp_path: Path, gone: bool) -> None:
    """As in a resumed run: whether the file is repaired or removed meanwhile."""
    rng = np.random.default_rng(0)
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(8):
        cv2.imwrite(str(folder / f"{number}.png"), rng.integers(0, 256, (150, 250, 3), dtype=np.uint8))
    image = (folder / "3.png").read_bytes()
    (folder / "3.png").write_bytes(b"no image")
    first = load(folder)
    (folder / "3.png").write_bytes(image)
    category = load_category(folder)
    category.skip(folder / "3.png", "it could not be read")
    if gone:
        (folder / "3.png").unlink()
    preprocess = Preprocess(tiling=Tiling(tile=128, overlap=16))
    again = load_tiles(
        category, preprocess, SIZE, 0.25, 3, "auto" if gone else "none", set(first.holdout_paths)
    )
    assert again.holdout_paths == first.holdout_paths
    assert np.array_equal(first.train, again.train)
    assert np.array_equal(first.holdout, again.holdout)


def test_most_tiles_show_the_part_and_some_the_background(tmp_path: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(12):
        image = np.full((800, 800, 3), 230, np.uint8)
        cv2.circle(image, (150, 150), 90, (40, 40, 40 + number), -1)
        cv2.imwrite(str(folder / f"{number}.png"), image)
    preprocess = Preprocess(tiling=Tiling(tile=128, overlap=16))
    found = load_tiles(load_category(folder), preprocess, SIZE, 0.25, 0, "auto")
    assert found.foreground is not None
    assert found.foreground.method == "otsu"
    shows = (found.train < 128).any((1, 2, 3))
    # The part is on 4 % of the image; a tenth of the tiles are drawn beside it.
    assert 0.8 < shows.mean() < 0.97
    assert (~shows).sum() > 20
    pairs = [
        (tile[..., 0] < 128, mask)
        for tile, mask in zip(found.train, found.foreground.masks, strict=True)
        if mask is not None
    ]
    assert found.holdout_parts is not None
    assert len(found.holdout_parts) == len(found.holdout)
    dark, masks = (np.stack(items) for items in zip(*pairs, strict=True))
    assert masks[dark].mean() > 0.97
    # The part was found on an image of 64 x 64 and grown by a pixel of it, twelve of the original.
    assert dark[masks].mean() > 0.7


def test_mixed_sizes_and_images_smaller_than_a_tile(tmp_path: Path) -> None:
    shapes = [(200, 300), (200, 300), (60, 90), (129, 500), (128, 128), (1000, 64)]
    found = load(folder_of(tmp_path / "good", shapes), coarse=True)
    assert len(found.train_paths) + len(found.holdout_paths) == 6
    # 127 is the padding of what is smaller than a tile.
    assert levels(found.train) | levels(found.holdout) == {10, 20, 30, 40, 50, 60, 127}
    assert any("4 sizes" in line or "5 sizes" in line for line in found.doubts)


def test_a_16_bit_image_is_scaled_by_its_bits(tmp_path: Path) -> None:
    folder = tmp_path / "good"
    folder.mkdir()
    for number in range(3):
        cv2.imwrite(str(folder / f"{number}.png"), np.full((200, 300), 4095, np.uint16))
    assert levels(load(folder, bits=12).train) == {255}


def test_ignored_places_are_not_drawn(dozen: Path, tmp_path: Path) -> None:
    mask = np.zeros((200, 300), np.uint8)
    mask[:, 150:] = 255
    cv2.imwrite(str(tmp_path / "mask.png"), mask)
    preprocess = Preprocess.from_options(
        ignore_mask=tmp_path / "mask.png",
        tiling=Tiling(tile=64, overlap=8),
        source_shape=(200, 300),
        size=SIZE,
    )
    found = load_tiles(load_category(dozen), preprocess, SIZE, 0.25, 3, "none")
    assert ((found.train != 127).any((1, 2, 3))).all()


def test_one_tile_that_covers_every_image_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DmddError, match="One tile covers each of the 4 images"):
        load(folder_of(tmp_path / "good", [(100, 120)] * 4))


def test_broken_files_are_named(dozen: Path) -> None:
    (dozen / "05.png").write_bytes(b"broken")
    category = load_category(dozen)
    found = load_tiles(category, Preprocess(tiling=Tiling(tile=128, overlap=16)), SIZE, 0.25, 3, "none")
    assert [path.name for path, _ in category.skipped] == ["05.png"]
    assert len(found.train_paths) + len(found.holdout_paths) == 11
