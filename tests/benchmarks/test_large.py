"""The study of large images: joins of kept maps, canvases of screws, decisions and the grid, by hand."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from large.borders import grid, on_borders, places, same_as_whole
from large.decided import in_files, remembered, ways_of
from large.figures import Judged, auroc_of_several, judge
from large.passes import passed
from large.place import Joined, levels_of
from large.sets import CANVAS, Counts, Item, Plates, Screws
from numpy.typing import NDArray

from dmdd_edge.data.place_levels import PlaceLevels, cell_peaks
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling, top_mean
from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.evaluation.tiled import infer_tiles
from dmdd_edge.evaluation.views import Views
from dmdd_edge.train.held_out_levels import HeldOutLevels
from dmdd_edge.train.place_choice import PlaceChoice

TILED = Preprocess(tiling=Tiling(tile=64, overlap=16, coarse=True))


def darkness(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """A network whose map is how dark a pixel is, and whose score is the darkest one."""
    maps = np.asarray(1 - images[..., 0] / np.float32(255), np.float32)
    return maps, maps.reshape(len(maps), -1).max(1)


def spotted(name: str, defect: str, held_out: bool, level: int) -> Item:
    """A gray image of 160 px with a square of 12 px at a level."""
    image = np.full((160, 160, 3), 200, np.uint8)
    image[70:82, 70:82] = level
    mask = np.zeros((160, 160), np.bool_)
    mask[70:82, 70:82] = defect != "good"
    return Item(name, defect, held_out, lambda: (image, mask))


def test_kept_maps_join_as_new_ones_do(tmp_path: Path) -> None:
    item = spotted("a", "spot", False, 20)
    new = passed(darkness, TILED, 64, item, tmp_path / "a.npz")
    kept = passed(darkness, TILED, 64, item, tmp_path / "a.npz")
    assert kept.maps.tobytes() == new.maps.tobytes()
    assert (kept.mask == new.mask).all()
    # At the tile's scale the joined map is how dark the image is, whatever the weights.
    truth = 1 - item.make()[0][..., 0].astype(np.float32) / 255
    for overlap in (0, 8, 16):
        assert np.abs(kept.joined(coarse=False, overlap=overlap)[0] - truth).max() < 1e-6
    assert kept.joined(coarse=False)[1] == pytest.approx(1 - 20 / 255)
    # With a gain the odds of the coarse map count that many times: 100 m / (1 + 99 m).
    flat = 1 - 200 / 255
    assert kept.joined(coarse=True, coarse_gain=100.0)[0][0, 0] == pytest.approx(100 * flat / (1 + 99 * flat))


def test_decisions_of_held_out_good_and_defective_images() -> None:
    items = [spotted(f"h{k}", "good", True, 190 - k) for k in range(4)]
    items += [spotted("g0", "good", False, 195), spotted("g1", "good", False, 150)]
    items += [spotted("b0", "deep", False, 20), spotted("b1", "pale", False, 188)]
    every = {"coarse": False, "coarse_score_gain": None}
    ways = [Judged("tiles", "map", every), Judged("both", "map", every | {"coarse": True})]
    judge((passed(darkness, TILED, 64, item) for item in items), ways)
    row, both = (way.row() for way in ways)
    assert row["threshold"] == pytest.approx(1 - 187 / 255)
    assert (row["held_out"], row["supports"]) == (4, 0.2)
    assert (row["good"], row["false_alarms"]) == (2, 1)
    assert row["per_defect"]["deep"]["found"] == 1
    assert row["per_defect"]["pale"]["found"] == 0
    assert row["image_auroc"] == 0.75  # of four pairs, the pale one loses to the dark good one
    assert row["per_defect"]["deep"]["pro"] == 1.0
    assert both["inputs"] == row["inputs"] + 1


def test_beside_good_parts_a_spot_is_found_that_is_below_what_good_parts_have_elsewhere(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def chosen(
        predict: Predictor, preprocess: Preprocess, size: int, paths: list[Path], *_: object
    ) -> object:
        views = Views(tuple(paths), preprocess, size)
        maps = [infer_tiles(predict, *views.read(index))[0] for index in range(len(paths))]
        levels = HeldOutLevels(
            tuple(range(len(paths))), np.stack([cell_peaks(each) for each in maps]), (160, 160)
        )
        return PlaceChoice(True, "by place", levels, {"by_place": True})

    def part(name: str, defect: str, held_out: bool, level: int) -> Item:
        image, mask = spotted(name, defect, held_out, level).make()
        image[20:40, 100:120] = 10  # good parts are dark here, darker than any defect
        return Item(name, defect, held_out, lambda: (image, mask))

    held = in_files([part(f"h{k}", "good", True, 200) for k in range(3)], tmp_path / "held")
    calls: list[int] = []

    def counted(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        calls.append(len(images))
        return darkness(images)

    monkeypatch.setattr("large.decided.choose_place", chosen)
    known = remembered(counted)
    images = [passed(known, TILED, 64, item) for item in held.values()]
    assert sum(calls) < 2 * images[0].geometry.layout.count  # the three images are alike
    paths = {item.name: Path(path) for path, item in held.items()}
    ways = ways_of("tiles", TILED, 64, known, lambda: images, paths, 0)
    assert [(way.label, way.score) for way in ways] == [
        (label, score) for label in ("tiles", "tiles and coarse") for score in ("map", "place")
    ]
    tests = [part("g", "good", False, 200), part("b", "spot", False, 120)]
    judge([*images, *(passed(darkness, TILED, 64, item) for item in tests)], ways)
    for way in ways:
        row = way.row()
        assert row["false_alarms"] == 0
        assert row["per_defect"]["spot"]["found"] == (way.score == "place")
        assert row["default"] == (way.score == "place")


def test_of_several_parts_the_highest_score_counts() -> None:
    good = [0.1, 0.2, 0.3]
    # Three good parts always have 0.3. A low defective part beside two of them ties in two of three ways.
    assert auroc_of_several([0.9, 0.0], good, 3) == pytest.approx((1 + 2 / 3 * 0.5) / 2, abs=0.06)


def test_a_step_at_every_border_is_a_grid_and_none_is_none() -> None:
    rng = np.random.default_rng(0)
    smooth = cv2.GaussianBlur(rng.random((256, 512), np.float32), (0, 0), 2)
    starts = (0, 96, 192, 288, 384)
    even = grid(smooth, starts, 128)
    assert 0.7 < even["step"] < 1.4
    stepped = smooth.copy()
    for start in starts[1::2]:
        stepped[:, start : start + 96] += 0.2
    assert grid(stepped, starts, 128)["step"] > 3 * even["step"]
    waves = smooth + np.sin(2 * np.pi * np.arange(512, dtype=np.float32) / 96)
    assert grid(waves, starts, 128)["energy"] > 100 * even["energy"]


def test_places_are_on_borders_on_corners_and_inside() -> None:
    found = places(512, 64, np.random.default_rng(0))
    for kind, x, y in found:
        on_border = [432 <= at < 528 for at in (x, y)]
        assert sum(on_border) == {"border": 1, "corner": 2, "inside": 0}[kind]
    assert {kind for kind, _, _ in found} == {"border", "corner", "inside"}


def test_one_tile_over_all_is_the_stretched_image() -> None:
    image = np.random.default_rng(0).integers(0, 255, (160, 160, 3), np.uint8)
    assert same_as_whole(darkness, TILED, 64, image) == 0.0


def test_a_defect_that_the_network_shows_everywhere_alike_is_one_region_of_one_area() -> None:
    image, mask = spotted("a", "spot", False, 20).make()
    preprocess = Preprocess(tiling=Tiling(tile=256, overlap=32))
    wide = 500
    image = np.pad(image, ((wide, wide), (wide, wide), (0, 0)), mode="edge")
    found = on_borders(darkness, preprocess, 256, [(image, np.pad(mask, wide), wide + 76, wide + 76)])
    for kind, count in (("border", 10), ("corner", 10), ("inside", 5)):
        assert found[kind] == {"places": count, "regions": {"1": count}, "area": [1.0, 1.0, 1.0]}


@pytest.fixture
def screws(tmp_path: Path) -> Path:
    """A category whose good images are light and whose defective one is dark with a mark."""
    for folder, count, level in (("train/good", 250, 180), ("test/good", 12, 180), ("test/cut", 2, 90)):
        (tmp_path / folder).mkdir(parents=True)
        for index in range(count):
            cv2.imwrite(str(tmp_path / folder / f"{index:03d}.png"), np.full((32, 32, 3), level, np.uint8))
    (tmp_path / "ground_truth/cut").mkdir(parents=True)
    mark = np.zeros((32, 32), np.uint8)
    mark[10:14, 8:16] = 255
    cv2.imwrite(str(tmp_path / "ground_truth/cut/000_mask.png"), mark)
    return tmp_path


def test_one_of_nine_screws_is_defective_and_its_mask_is_in_its_cell(screws: Path) -> None:
    counts = Counts(train=1, held_out=1, good=1)
    items = list(Screws(screws, nine=True).items(counts))
    assert [item.name for item in items] == ["holdout-000", "good-000", "bad-cut-000"]
    good, nothing = items[1].make()
    assert good.shape == (CANVAS, CANVAS, 3)
    assert (good == 180).all()
    assert not nothing.any()
    image, mask = items[2].make()
    assert mask.sum() == 32
    rows, columns = np.nonzero(mask)
    dark = image[..., 0] == 90
    assert dark.sum() in (682**2, 682 * 684, 684**2)  # the last row and column take what is left
    assert dark[mask].all()
    assert rows.max() - rows.min() == 3
    assert columns.max() - columns.min() == 7


def test_held_out_screws_are_not_trained_on(screws: Path, tmp_path: Path) -> None:
    Screws(screws, nine=False).write_training(tmp_path / "data", Counts())
    trained = {path.resolve().name for path in (tmp_path / "data/screw1/train/good").iterdir()}
    held = [item for item in Screws(screws, nine=False).items(Counts()) if item.held_out]
    assert len(trained) == 240
    assert len(held) == 10


def test_drawn_test_images_are_not_training_images() -> None:
    items = list(Plates(512).items(Counts(held_out=1, good=1, bad=1)))
    names = [item.name for item in items]
    assert names == [
        "holdout-good-000",
        "good-good-000",
        *(f"bad-{defect}-000" for defect in ("006px", "012px", "024px", "bent", "missing", "stain")),
    ]
    images = [item.make()[0].tobytes() for item in items[:2]]
    assert images[0] != images[1]


def test_the_score_beside_levels_is_that_of_the_whole_map() -> None:
    rng = np.random.default_rng(2)
    maps = (rng.random((4, 200, 203)) ** 6).astype(np.float32)
    maps[3, 90:100, 40:60] = 0.97
    peaks = np.stack([cell_peaks(each) for each in maps[:3]])
    levels = PlaceLevels.of(peaks, (200, 203))
    for each in maps:
        expected = top_mean(levels.beside(each.copy(), (200, 203)))
        one = Joined("good", each, 0.5, np.zeros((200, 203), np.bool_))
        assert one.score_beside(levels_of(peaks)) == pytest.approx(expected, abs=1e-7)
