"""Whether maps are compared with good parts at the same place is decided by damage on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.place_levels import cell_peaks
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling, top_mean
from dmdd_edge.errors import TrainingError
from dmdd_edge.train.held_out_levels import HeldOutLevels
from dmdd_edge.train.place_choice import choose_place
from tests.train.zip_damage import LIKE_A_FEATURE, marked

SIZE = 64
PREPROCESS = Preprocess(tiling=Tiling(tile=SIZE, overlap=8))
SHAPE = (150, 200)
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


def unlike_gray(tiles: NDArray[np.uint8]) -> Outputs:
    """A network whose map is how far a pixel of the part is from its gray; what is around it is black."""
    light = tiles[..., 0].astype(np.float32)
    maps = np.asarray(np.where(light > 30, np.abs(light - 128) / 128, 0), np.float32)
    return maps, maps.max((1, 2))


def images(
    folder: Path, place: Callable[[int], tuple[int, int]], shape: Sequence[int] = SHAPE, count: int = 12
) -> list[Path]:
    """Gray parts, each with a separate pattern at a place."""
    rng = np.random.default_rng(3)
    paths = []
    for number in range(count):
        image = rng.integers(122, 135, (*shape, 1), np.uint8).repeat(3, axis=2)
        row, column = place(number)
        pattern = rng.integers(58, 198, (8, 8, 1), np.uint8).repeat(4, 0).repeat(4, 1)
        image[row : row + 32, column : column + 32] = pattern
        image[:12] = image[-12:] = image[:, :12] = image[:, -12:] = 0
        paths.append(folder / f"{number}.png")
        cv2.imwrite(str(paths[-1]), image)
    return paths


def test_parts_at_one_place_are_compared_by_place(tmp_path: Path) -> None:
    held_out = images(tmp_path, lambda number: (40 + number % 3, 80 - number % 2))
    done: list[tuple[int, int]] = []
    choice = choose_place(unlike_gray, PREPROCESS, SIZE, held_out, "auto", 0, lambda *each: done.append(each))
    assert choice.by_place
    assert choice.facts["error_place"] < 0.5 * choice.facts["error_map"]
    assert choice.facts["found_place"] > choice.facts["found_map"]
    assert done[-1] == (12, 12)
    assert choice.levels is not None
    assert choice.levels.numbers == tuple(range(12))
    # The levels are those of the joined maps, which are the pixels' own.
    expected = np.stack([cell_peaks(unlike_gray(cv2.imread(str(path))[None])[0][0]) for path in held_out])
    assert np.abs(choice.levels.peaks.astype(int) - expected).max() <= 1
    again = choose_place(unlike_gray, PREPROCESS, SIZE, held_out, "auto", 0)
    assert again.facts == choice.facts


def test_parts_at_any_place_are_not(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    held_out = images(tmp_path, lambda number: (int(rng.integers(12, 106)), int(rng.integers(12, 156))))
    choice = choose_place(unlike_gray, PREPROCESS, SIZE, held_out, "auto", 0)
    assert not choice.by_place
    assert choice.levels is None
    wanted = choose_place(unlike_gray, PREPROCESS, SIZE, held_out, "place", 0)
    assert wanted.by_place
    assert "auto would take the map" in wanted.reason


def test_few_images_and_images_of_several_sizes_give_no_levels(tmp_path: Path) -> None:
    few = images(tmp_path, lambda number: (40, 40), count=4)
    assert "too few" in choose_place(unlike_gray, PREPROCESS, SIZE, few, "auto", 0).reason
    (tmp_path / "more").mkdir()
    mixed = [*few, *images(tmp_path / "more", lambda number: (40, 40), (150, 204), 4)]
    assert "differ in size" in choose_place(unlike_gray, PREPROCESS, SIZE, mixed, "place", 0).reason


def test_the_threshold_keeps_the_false_alarm_rate(tmp_path: Path) -> None:
    """Over seeded divisions: the held-out maps give levels and threshold, the others are tested."""
    rng = np.random.default_rng(5)
    shape = (40, 48)
    usual = rng.gamma(2.0, 0.03, shape)
    good = np.clip(usual * rng.gamma(4.0, 0.25, (120, *shape)), 0, 0.99).astype(np.float32)
    peaks = np.stack([cell_peaks(each) for each in good])
    paths = [Path(str(index)) for index in range(19)]
    false, naive = [], []
    for seed in range(50):
        order = np.random.default_rng(seed).permutation(len(good))
        held, tested = order[:19], order[19:59]
        levels = HeldOutLevels(tuple(range(19)), peaks[held], shape)
        every, others = levels.levels(), levels.of_others(paths)
        of_tested = [top_mean(every.beside(good[index].copy(), shape), 20) for index in tested]
        for own, rates in ((others, false), (dict.fromkeys(paths, every), naive)):
            scores = [
                top_mean(own[path].beside(good[index].copy(), shape), 20)
                for path, index in zip(paths, held, strict=True)
            ]
            limit = threshold_from_normals(scores, 0.05).image
            rates.append(float((np.array(of_tested) > limit).mean()))
    # 19 images support 5 %; compared with levels that they gave themselves, they would promise too much.
    assert np.mean(false) <= 0.06
    assert np.mean(naive) > 2 * np.mean(false)


def test_levels_are_kept_in_the_run_and_damage_is_named(tmp_path: Path) -> None:
    levels = HeldOutLevels((0, 2), np.arange(24, dtype=np.uint8).reshape(2, 3, 4), (20, 30))
    levels.write(tmp_path)
    kept = HeldOutLevels.read(tmp_path)
    assert (kept.numbers, kept.source) == ((0, 2), (20, 30))
    np.testing.assert_array_equal(kept.peaks, levels.peaks)
    assert set(kept.of_others([Path("a"), Path("b"), Path("c")])) == {Path("a"), Path("c")}
    (tmp_path / "levels.npz").write_bytes(b"PK\x03\x04")
    with pytest.raises(TrainingError, match=r"levels\.npz is missing or damaged"):
        HeldOutLevels.read(tmp_path)


@pytest.mark.parametrize("damage", LIKE_A_FEATURE)
def test_damage_that_looks_like_a_feature_of_zip_is_named(
    tmp_path: Path, damage: tuple[int, int, int]
) -> None:
    HeldOutLevels((0, 2), np.arange(24, dtype=np.uint8).reshape(2, 3, 4), (20, 30)).write(tmp_path)
    file = tmp_path / "levels.npz"
    file.write_bytes(marked(file.read_bytes(), *damage))
    with pytest.raises(TrainingError, match=r"levels\.npz is missing or damaged"):
        HeldOutLevels.read(tmp_path)
