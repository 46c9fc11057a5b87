"""The map beside what good parts show at the same place."""

from __future__ import annotations

import math

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError

from dmdd_edge.data.place_levels import PlaceLevels, cell_peaks, log_odds
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling, top_mean
from dmdd_edge.errors import BundleError, DataError
from dmdd_edge.evaluation.tiled import infer_tiles

SIZE = 64
Map = NDArray[np.float32]
SHAPE = (150, 203)


def maps(count: int, seed: int = 0, shape: tuple[int, int] = SHAPE) -> Map:
    return np.random.default_rng(seed).random((count, *shape), np.float32) ** 6


def levels_of(good: Map) -> PlaceLevels:
    return PlaceLevels.of(np.stack([cell_peaks(each) for each in good]), (good.shape[1], good.shape[2]))


def test_a_level_is_the_highest_odds_of_a_cell_and_its_neighbors() -> None:
    good = np.full((2, 40, 40), 0.1, np.float32)
    good[1, 17, 30] = 0.9  # in the cell of rows 16 to 23 and columns 24 to 31
    levels = levels_of(good)
    beside = levels.beside(np.full((40, 40), 0.1, np.float32), (40, 40))
    # In the middle of that cell: odds of 1/9 against 9, which are kept within a step of an eighth.
    odds = beside / (1 - beside)
    assert 1 / 81 * math.exp(-1 / 8) <= odds[20, 28] <= 1 / 81
    # Two cells away nothing of it is left: odds of 1/9 against 1/9.
    assert math.exp(-1 / 8) <= odds[4, 4] <= 1
    assert odds[20, 11] == odds[4, 4]  # left of the middle of the cell two to the left
    assert odds[12, 28] == odds[20, 28]  # its neighbor has the same level


@pytest.mark.parametrize("shift", [0, -4, 4])
def test_no_good_part_is_above_its_levels_also_some_pixels_beside_its_place(shift: int) -> None:
    good = maps(4)
    levels = levels_of(good)
    for each in good:
        moved = np.roll(each, (shift, -shift), (0, 1))[16:-16, 16:-16].copy()
        assert levels.beside(moved, SHAPE, 16, 16).max() <= 0.5


def test_a_good_part_of_the_highest_value_is_not_above_its_level() -> None:
    good = np.full((1, 40, 40), 0.1, np.float32)
    good[0, 16:24, 16:24] = 1.0
    beside = levels_of(good).beside(good[0].copy(), (40, 40))
    assert 0.4 < beside[20, 20] <= 0.5
    assert levels_of(good).beside(np.ones((40, 40), np.float32), (40, 40))[36, 36] > 0.99


def test_a_part_of_the_view_has_the_values_of_the_whole() -> None:
    levels = levels_of(maps(3))
    joined = maps(1, 5)[0]
    whole = levels.beside(joined.copy(), SHAPE)
    np.testing.assert_array_equal(
        levels.beside(joined[37:101, 90:154].copy(), SHAPE, 37, 90), whole[37:101, 90:154]
    )


def test_levels_are_rounded_up_to_an_eighth() -> None:
    exact = np.log(0.3 / 0.7)
    kept = float(log_odds(cell_peaks(np.full((8, 8), 0.3, np.float32)))[0, 0])
    assert exact <= kept < exact + 1 / 8


def test_the_joined_map_and_its_score_are_beside_the_levels() -> None:
    """A place with high values in good parts no longer hides a faint defect at another one."""
    good = np.full((3, *SHAPE), 0.02, np.float32)
    good[:, 100:130, 150:180] = np.array([0.5, 0.7, 0.6])[:, None, None]
    bad = good[0].copy()
    bad[20:32, 20:32] = 0.3
    for tiling, seen in (
        (Tiling(tile=SIZE, overlap=16), False),
        (Tiling(tile=SIZE, overlap=16, levels=levels_of(good)), True),
    ):
        layout = Preprocess(tiling=tiling).geometry(SHAPE, SIZE).layout

        def network(tiles: NDArray[np.uint8]) -> tuple[Map, Map]:
            shown = tiles[..., 0].astype(np.float32) / np.float32(255)
            return shown, shown.max((1, 2))

        scores = []
        for each in (*good, bad):
            view = np.repeat(np.rint(each * 255).astype(np.uint8)[..., None], 3, axis=2)
            joined, score = infer_tiles(network, view, layout)
            assert score == pytest.approx(top_mean(joined), abs=1e-6)
            scores.append(score)
        assert (scores[3] > max(scores[:3])) == seen
        assert (np.unravel_index(joined.argmax(), SHAPE)[0] < 40) == seen


def test_what_is_ignored_stays_zero() -> None:
    levels = levels_of(maps(2, 0, (64, 64))).model_copy(update={"source": (50, 64)})
    preprocess = Preprocess(tiling=Tiling(tile=SIZE, overlap=16, levels=levels))
    layout = preprocess.geometry((50, 64), SIZE).layout  # smaller than a tile, so filled up
    joined = layout.decided_on(np.full((64, 64), 0.5, np.float32))
    assert layout.ignored is not None
    assert (joined[layout.ignored] == 0).all()
    assert (joined[~layout.ignored] > 0).all()


def test_images_of_another_size_are_refused() -> None:
    preprocess = Preprocess(tiling=Tiling(tile=SIZE, overlap=16, levels=levels_of(maps(2))))
    preprocess.prepare(np.zeros((*SHAPE, 3), np.uint8), SIZE)
    with pytest.raises(DataError, match=r"part\.png: an image of 203 x 151 pixels cannot be compared"):
        preprocess.prepare(np.zeros((151, 203, 3), np.uint8), SIZE, "part.png")


def test_without_levels_nothing_is_written_and_with_levels_they_come_back() -> None:
    assert "levels" not in Tiling(tile=SIZE, overlap=16).model_dump()
    tiling = Tiling(tile=SIZE, overlap=16, levels=levels_of(maps(2)))
    assert Tiling.model_validate_json(tiling.model_dump_json()) == tiling
    assert "beside 2 good images" in tiling.describe()


def test_what_a_manifest_can_keep() -> None:
    assert PlaceLevels.fit((10_000, 10_000))
    assert not PlaceLevels.fit((20_000, 20_000))
    assert not PlaceLevels.fit((64, 100_000))


def test_damaged_levels_are_refused() -> None:
    levels = levels_of(maps(2))
    with pytest.raises(ValidationError, match="not a PNG"):
        PlaceLevels(source=SHAPE, images=2, cells="AAAA")
    with pytest.raises(ValidationError, match="score of the tiles"):
        Tiling(tile=SIZE, overlap=16, score="tiles", levels=levels)
    cut = PlaceLevels(source=SHAPE, images=2, cells=levels.cells[:80])
    with pytest.raises(BundleError, match="cannot be decoded"):
        cut.beside(maps(1)[0], SHAPE)
    with pytest.raises(BundleError, match="cannot be decoded"):
        levels.beside(maps(1, 0, (40, 40))[0], (40, 40))


def test_the_maps_of_tiles_and_of_the_whole_image_are_each_beside_their_own_levels() -> None:
    """What the map of the whole image has on every good part does not hide what a tile shows."""
    good = np.full((3, *SHAPE), 0.02, np.float32)
    haze = np.full((3, *SHAPE), 0.4, np.float32)
    own, together = (
        PlaceLevels.of(cells(good), SHAPE, cells(haze)),
        PlaceLevels.of(cells(np.maximum(good, haze)), SHAPE),
    )
    bad = good[0].copy()
    bad[20:32, 20:32] = 0.3
    for levels, seen in ((together, False), (own, True)):
        tiling = Tiling(tile=SIZE, overlap=16, coarse=True, levels=levels)
        layout = Preprocess(tiling=tiling).geometry(SHAPE, SIZE).layout
        scores = []
        for each, of_whole in ((good[0], 0.4), (bad, 0.4), (good[0], 0.8)):
            view = np.repeat(np.rint(each * 255).astype(np.uint8)[..., None], 3, axis=2)
            maps = layout.cut(view)[..., 0].astype(np.float32) / np.float32(255)
            maps[-1] = of_whole
            scores.append(layout.join(maps, maps.max((1, 2)))[1])
        assert (scores[1] > scores[0] + 0.1) == seen
        assert scores[2] > scores[0] + 0.1, "what only the whole image shows counts in both"
    assert scores[0] <= 0.5 + 1e-6, "a good part is not above its own levels"
    kept = Tiling(tile=SIZE, overlap=16, coarse=True, levels=own)
    assert Tiling.model_validate_json(kept.model_dump_json()) == kept
    assert "coarse" not in together.model_dump(), "bundles without a coarse pass are as before"


def cells(good: Map) -> NDArray[np.uint8]:
    return np.stack([cell_peaks(each) for each in good])
