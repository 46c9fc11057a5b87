"""Tiles: what they cover, how maps are joined, and the way back to the source image."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from dmdd_edge.data.images import resize
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling, starts, top_mean, with_gain
from dmdd_edge.evaluation.tiled import infer_tiles

SIZE = 64
Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


def tiled(tile: int = SIZE, overlap: int = 16, **more: object) -> Preprocess:
    return Preprocess(tiling=Tiling(tile=tile, overlap=overlap, **more))  # type: ignore[arg-type]


def bright(tiles: NDArray[np.uint8]) -> Outputs:
    """A network whose map is the light of a pixel; it sees no border."""
    maps = np.asarray(tiles[..., 0] / np.float32(255), np.float32)
    return maps, maps.max((1, 2))


@pytest.mark.parametrize(
    ("length", "expected"),
    [(64, (0,)), (65, (0, 1)), (112, (0, 48)), (113, (0, 24, 49)), (161, (0, 32, 65, 97))],
)
def test_as_few_tiles_as_cover_a_length(length: int, expected: tuple[int, ...]) -> None:
    assert starts(length, 64, 16) == expected


@pytest.mark.parametrize("shape", [(64, 64), (64, 65), (150, 330), (511, 513)])
def test_every_pixel_is_covered_and_neighbors_overlap(shape: tuple[int, int]) -> None:
    layout = tiled().geometry(shape, SIZE).layout
    covered = np.zeros(shape, int)
    for row, column in layout.places:
        covered[row : row + SIZE, column : column + SIZE] += 1
    assert layout.shape == shape
    assert covered.min() >= 1
    for firsts in (layout.rows, layout.columns):
        assert all(a + SIZE - b >= 16 for a, b in pairwise(firsts))


def test_joining_the_cut_gives_the_image_back() -> None:
    rng = np.random.default_rng(0)
    image = rng.integers(0, 256, (150, 333, 3), dtype=np.uint8)
    for batch in (1, 5, 100):
        joined, _ = infer_tiles(bright, image, tiled().geometry(image.shape, SIZE).layout, batch)
        np.testing.assert_allclose(joined, image[..., 0] / 255, atol=2e-6)


def test_one_tile_that_covers_all_is_the_whole_image() -> None:
    image = np.random.default_rng(1).integers(0, 256, (200, 200, 3), dtype=np.uint8)
    one, plain = tiled(tile=200), Preprocess()
    np.testing.assert_array_equal(one.prepare(image, SIZE), plain.prepare(image, SIZE))
    layout = one.geometry(image.shape, SIZE).layout
    assert layout.count == 1
    joined, score = infer_tiles(bright, one.prepare(image, SIZE), layout)
    expected = resize(image, SIZE)[..., 0].astype(np.float32) / 255
    np.testing.assert_allclose(joined, expected, atol=1e-6)
    assert score == pytest.approx(np.sort(expected.ravel())[-100:].mean(), abs=1e-6)


def test_a_spot_on_any_border_is_one_region_with_one_area() -> None:
    """Each tile weakens its outer pixels, as zero padding does; the joined region stays whole."""
    preprocess = tiled()
    geometry = preprocess.geometry((200, 200), SIZE)
    edge = np.minimum.outer(*(np.minimum(np.arange(SIZE), np.arange(SIZE)[::-1]),) * 2)
    damped = np.minimum((edge + 1) / 3, 1).astype(np.float32)

    def weak(tiles: NDArray[np.uint8]) -> Outputs:
        maps, scores = bright(tiles)
        return maps * damped, scores

    areas = set()
    for row in range(60, 120, 3):
        for column in range(60, 120, 6):
            image = np.zeros((200, 200, 3), np.uint8)
            image[row : row + 8, column : column + 8] = 255
            joined, _ = infer_tiles(weak, image, geometry.layout)
            labels, count = ndimage.label(joined > 0.5, structure=np.ones((3, 3)))
            assert count == 1
            areas.add(int((labels > 0).sum()))
    assert areas == {64}


def test_a_margin_counts_only_where_no_other_tile_shows_the_place() -> None:
    """Of the outer 6 pixels of a tile nothing reaches the joined map, except along the image's own edges."""
    rng = np.random.default_rng(3)
    image = rng.integers(0, 256, (225, 210, 3), dtype=np.uint8)

    def blind(tiles: NDArray[np.uint8]) -> Outputs:
        maps, scores = bright(tiles)
        maps[:, 6:-6, 6:-6] -= 2
        return maps + 2, scores

    layout = tiled(margin=6).geometry(image.shape, SIZE).layout
    joined, _ = infer_tiles(blind, image, layout)
    wrong = np.full(image.shape[:2], 2.0)
    wrong[6:-6, 6:-6] = 0
    np.testing.assert_allclose(joined, image[..., 0] / 255 + wrong, atol=1e-6)
    # Without a margin, as in earlier releases, the weights rise over the whole overlap, here of 16 pixels.
    (_, second), _ = tiled().geometry((112, 64), SIZE).layout.weights
    np.testing.assert_allclose(second, np.minimum((np.arange(SIZE) + 0.5) / 16, 1), atol=1e-7)
    (_, second), _ = tiled(margin=6).geometry((112, 64), SIZE).layout.weights
    np.testing.assert_allclose(second, np.clip((np.arange(SIZE) + 0.5 - 6) / 4, 0, 1), atol=1e-7)


def test_a_tile_larger_than_the_network_is_scaled_and_boxes_come_back() -> None:
    preprocess = Preprocess(roi=(40, 20, 512, 256), tiling=Tiling(tile=128, overlap=32))
    geometry = preprocess.geometry((400, 600, 3), SIZE)
    assert geometry.shape == (128, 256)
    assert geometry.layout.overlap == 16
    assert geometry.source_pixels == 4.0
    assert geometry.box_to_source(10, 20, 6, 4) == (40 + 20, 20 + 40, 12, 8)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_spot_is_found_where_it_is_after_a_rotation(rotate: int) -> None:
    preprocess = Preprocess(rotate=rotate, tiling=Tiling(tile=64, overlap=16))
    image = np.zeros((90, 200, 3), np.uint8)
    image[30:37, 150:161] = 255
    view = preprocess.prepare(image, SIZE)
    geometry = preprocess.geometry(image.shape, SIZE)
    joined, _ = infer_tiles(bright, view, geometry.layout)
    rows, columns = np.nonzero(joined > 0.5)
    box = geometry.box_to_source(
        columns.min(), rows.min(), columns.max() + 1 - columns.min(), rows.max() + 1 - rows.min()
    )
    assert box == (150, 30, 11, 7)
    np.testing.assert_allclose(geometry.map_to_source(joined), image[..., 0] / 255, atol=2e-6)


def test_an_image_smaller_than_a_tile_is_padded_and_the_padding_is_ignored() -> None:
    preprocess = tiled()
    image = np.full((30, 100, 3), 200, np.uint8)
    geometry = preprocess.geometry(image.shape, SIZE)
    view = preprocess.prepare(image, SIZE)
    assert view.shape == (64, 100, 3)
    assert geometry.ignored is not None
    assert (~geometry.ignored).sum() == 30 * 100
    assert (view[~geometry.ignored] == 200).all()
    joined, _ = infer_tiles(bright, view, geometry.layout)
    assert (joined[geometry.ignored] == 0).all()
    assert geometry.box_to_source(0, 0, 100, 64) == (0, 0, 100, 30)


@pytest.mark.parametrize("fit", ["pad", "crop"])
@pytest.mark.parametrize("rotate", [0, 90])
def test_fit_keeps_the_aspect_ratio_and_boxes_come_back(fit: str, rotate: int) -> None:
    preprocess = Preprocess(fit=fit, rotate=rotate)  # type: ignore[arg-type]
    image = np.zeros((100, 200, 3), np.uint8)
    image[40:60, 88:108] = 255  # a square stays one
    view, geometry = preprocess.prepare(image, 50), preprocess.geometry(image.shape, 50)
    rows, columns = np.nonzero(view[..., 0] == 255)
    width, height = int(np.ptp(columns)) + 1, int(np.ptp(rows)) + 1
    assert width == height == (5 if fit == "pad" else 10)
    assert geometry.box_to_source(int(columns.min()), int(rows.min()), width, height) == (88, 40, 20, 20)
    assert geometry.source_pixels == (16.0 if fit == "pad" else 4.0)
    ignored = 0 if geometry.ignored is None else int(geometry.ignored.sum())
    assert ignored == (50 * 25 if fit == "pad" else 0)
    mask = image[..., 0] > 0
    np.testing.assert_array_equal(preprocess.prepare_mask(mask, 50), view[..., 0] == 255)
    back = geometry.map_to_source((view[..., 0] == 255).astype(np.float32)) > 0.5
    assert back[42:58, 90:106].all()
    assert not back[:, :80].any()


def test_ignored_tiles_are_left_out(tmp_path: object) -> None:
    import cv2

    mask = np.zeros((256, 256), np.uint8)
    mask[:, :128] = 255
    path = f"{tmp_path}/mask.png"
    cv2.imwrite(path, mask)
    preprocess = Preprocess.from_options(
        ignore_mask=path, tiling=Tiling(tile=64, overlap=0), source_shape=(256, 256), size=SIZE
    )
    layout = preprocess.geometry((256, 256), SIZE).layout
    assert layout.count == 8
    image = np.full((256, 256, 3), 255, np.uint8)
    joined, _ = infer_tiles(bright, preprocess.prepare(image, SIZE), layout)
    np.testing.assert_allclose(joined, np.where(mask > 0, 0, 1), atol=1e-6)


def test_the_coarse_map_counts_where_it_is_higher() -> None:
    preprocess = tiled(coarse=True, coarse_gain=3.0)
    layout = preprocess.geometry((128, 128), SIZE).layout
    assert layout.count == len(layout.places) + 1 == 10
    image = np.full((128, 128, 3), 60, np.uint8)
    assert layout.cut(image, 9)[0].shape == (SIZE, SIZE, 3)

    def predict(tiles: NDArray[np.uint8]) -> Outputs:
        maps = np.full(tiles.shape[:3], 0.2, np.float32)
        return maps, np.full(len(tiles), 0.3, np.float32)

    joined, score = infer_tiles(predict, image, layout, 4)
    odds = 3.0 * 0.2 / 0.8
    np.testing.assert_allclose(joined, odds / (1 + odds), atol=1e-6)
    assert score == pytest.approx(odds / (1 + odds))


@pytest.mark.parametrize(
    ("score", "gain", "expected"),
    [
        ("map", None, 0.2),
        ("map", 5.0, 1.5 / 2.2),  # odds of 5 * 0.3 / 0.7, more than those of the map
        ("map", 0.1, 0.2),
        ("tiles", None, 0.3),
        ("tiles", 5.0, 1.5 / 2.2),
        ("tiles", 0.1, 0.25),  # the tiles' own
    ],
)
def test_the_score_of_the_whole_image_counts_at_its_level(
    score: str, gain: float | None, expected: float
) -> None:
    preprocess = tiled(coarse=True, score=score, coarse_score_gain=gain)
    layout = preprocess.geometry((128, 128), SIZE).layout

    def predict(tiles: NDArray[np.uint8]) -> Outputs:
        scores = np.full(len(tiles), 0.25, np.float32)
        if len(tiles) == 1:  # nine tiles make batches of 3, and then the whole image
            scores[:] = 0.3
        return np.full(tiles.shape[:3], 0.2, np.float32), scores

    image = np.full((128, 128, 3), 60, np.uint8)
    assert infer_tiles(predict, image, layout, 3)[1] == pytest.approx(expected)


def test_the_gain_is_on_the_odds() -> None:
    values = np.array([0.0, 0.25, 0.5, 1.0], np.float32)
    np.testing.assert_allclose(with_gain(values, 3.0), [0, 0.5, 0.75, 1.0])


@pytest.mark.parametrize("score", ["map", "tiles"])
def test_not_a_number_is_not_lost(score: str) -> None:
    preprocess = tiled(score=score)
    image = np.zeros((128, 128, 3), np.uint8)

    def predict(tiles: NDArray[np.uint8]) -> Outputs:
        maps, scores = bright(tiles)
        maps[0, 5, 5] = scores[0] = np.nan
        return maps, scores

    joined, found = infer_tiles(predict, image, preprocess.geometry(image.shape, SIZE).layout)
    assert math.isnan(found)
    assert np.isnan(joined).any()


def test_the_score_of_the_tiles_is_their_highest() -> None:
    preprocess = tiled(score="tiles")
    image = np.zeros((128, 128, 3), np.uint8)
    image[100, 100] = 204
    _, score = infer_tiles(bright, image, preprocess.geometry(image.shape, SIZE).layout)
    assert score == pytest.approx(0.8)


def test_top_mean_has_fewer_values_than_asked() -> None:
    assert top_mean(np.array([[0.25, 0.75]], np.float32)) == 0.5
    assert top_mean(np.arange(10, dtype=np.float32), 2) == 8.5


def test_a_bundle_without_tiles_is_written_as_before_and_bad_tiles_are_refused() -> None:
    assert set(Preprocess().model_dump()) == {"roi", "rotate", "ignore", "bits"}
    text = tiled().model_dump_json()
    assert Preprocess.model_validate_json(text) == tiled()
    assert "margin" not in text
    for values in (
        {"tile": 64, "overlap": 32},
        {"tile": 8, "overlap": 0},
        {"tile": 64, "overlap": -1},
        {"tile": 64, "overlap": 16, "margin": 9},
    ):
        with pytest.raises(ValidationError):
            Tiling(**values)  # type: ignore[arg-type]
