"""Region of interest, rotation, ignore mask: what is cut, turned and filled, and the way back."""

from __future__ import annotations

import base64
import json
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from pydantic import ValidationError

from dmdd_edge.data.images import resize
from dmdd_edge.data.preprocess import IGNORED_VALUE, Preprocess, parse_roi
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import DmddError


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (60, 100, 3), dtype=np.uint8)


def test_nothing_to_do_returns_the_image_itself(image):
    assert Preprocess().apply(image) is image
    np.testing.assert_array_equal(Preprocess().prepare(image, 32), resize(image, 32))


@pytest.mark.parametrize(("degrees", "turns"), [(0, 0), (90, -1), (180, 2), (270, 1)])
def test_cut_then_turned_clockwise(image, degrees, turns):
    step = Preprocess(roi=(10, 5, 40, 30), rotate=degrees)
    expected = np.rot90(image[5:35, 10:50], turns)  # numpy turns anticlockwise
    np.testing.assert_array_equal(step.apply(image), expected)
    mask = image[..., 0] > 128
    np.testing.assert_array_equal(step.apply_mask(mask), expected[..., 0] > 128)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
@pytest.mark.parametrize("roi", [None, (8, 4, 64, 32)])
def test_a_box_finds_its_way_back(degrees, roi):
    # A marked block whose edges fall on map pixels in every orientation: 64 x 32 -> 32 x 32.
    shape = (32, 64) if roi is None else (60, 100)
    x0, y0 = (0, 0) if roi is None else roi[:2]
    mask = np.zeros(shape, bool)
    mask[y0 + 4 : y0 + 10, x0 + 20 : x0 + 36] = True
    step = Preprocess(roi=roi, rotate=degrees)
    on_map = step.prepare_mask(mask, 32)
    x, y, w, h = cv2.boundingRect(on_map.astype(np.uint8))
    assert step.geometry(shape, 32).box_to_source(x, y, w, h) == (x0 + 20, y0 + 4, 16, 6)


def test_a_box_covers_at_least_what_it_stands_for():
    step = Preprocess(roi=(3, 5, 77, 41), rotate=90)
    for x, y, w, h in ((0, 0, 1, 1), (31, 31, 1, 1), (5, 9, 7, 3), (0, 0, 32, 32)):
        bx, by, bw, bh = step.geometry((60, 100, 3), 32).box_to_source(x, y, w, h)
        # Turned 90 degrees clockwise, map x runs along source -y and map y along source x.
        left, right = 3 + y * 77 / 32, 3 + (y + h) * 77 / 32
        top, bottom = 5 + (32 - x - w) * 41 / 32, 5 + (32 - x) * 41 / 32
        assert left - 1 < bx <= left < right <= bx + bw < right + 1
        assert top - 1 < by <= top < bottom <= by + bh < bottom + 1
    assert step.geometry((60, 100, 3), 32).box_to_source(0, 0, 32, 32) == (3, 5, 77, 41)


@pytest.mark.parametrize("degrees", [0, 90, 180, 270])
def test_a_map_is_laid_where_it_came_from(degrees):
    source = np.zeros((64, 96), np.float32)
    source[16:32, 40:48] = 1
    step = Preprocess(roi=(32, 0, 64, 64), rotate=degrees)
    small = step.apply_mask(source > 0).astype(np.float32)
    back = step.geometry((64, 96, 3), 64).map_to_source(small)
    np.testing.assert_array_equal(back, source)


def test_ignored_pixels_are_filled_and_the_source_is_untouched(tmp_path, image):
    mask = np.zeros((60, 100), np.uint8)
    mask[:, :50] = 255
    cv2.imwrite(str(tmp_path / "ignore.png"), mask)
    step = Preprocess.from_options(ignore_mask=tmp_path / "ignore.png", source_shape=image.shape, size=32)
    ignored = step.geometry((60, 100), 32).ignored
    assert ignored[:, :16].all()
    assert not ignored[:, 16:].any()
    square = resize(image, 32)
    kept = square.copy()
    result = step.prepare(square, 32)
    assert (result[:, :16] == IGNORED_VALUE).all()
    np.testing.assert_array_equal(result[:, 16:], square[:, 16:])
    np.testing.assert_array_equal(square, kept)
    assert not step.prepare_mask(np.ones((60, 100), bool), 32)[:, :16].any()


def test_ignore_mask_of_the_source_or_of_the_region(tmp_path):
    full = np.zeros((60, 100), np.uint8)
    full[5:15, 10:50] = 255  # the region's upper third
    cv2.imwrite(str(tmp_path / "full.png"), full)
    cv2.imwrite(str(tmp_path / "region.png"), full[5:35, 10:50])
    made = [
        Preprocess.from_options("10,5,40,30", 90, tmp_path / name, source_shape=(60, 100, 3), size=30)
        for name in ("full.png", "region.png")
    ]
    assert made[0] == made[1]
    expected = np.zeros((30, 30), bool)
    expected[:, 20:] = True  # up is right after a quarter turn clockwise
    np.testing.assert_array_equal(made[0].geometry((60, 100), 30).ignored, expected)
    assert made[0].geometry((60, 100), 60).ignored.sum() == 4 * expected.sum()


def test_survives_json_as_a_small_text(tmp_path):
    mask = np.zeros((256, 256), np.uint8)
    cv2.circle(mask, (90, 100), 50, 255, -1)
    cv2.imwrite(str(tmp_path / "m.png"), mask)
    step = Preprocess.from_options("0,0,256,256", 180, tmp_path / "m.png", source_shape=(256, 256), size=256)
    text = step.model_dump_json()
    assert len(text) < 2000
    assert Preprocess.model_validate(json.loads(text)) == step
    np.testing.assert_array_equal(step.geometry((256, 256), 256).ignored, np.rot90(mask > 0, 2))


def test_an_all_black_mask_ignores_nothing(tmp_path):
    cv2.imwrite(str(tmp_path / "m.png"), np.zeros((60, 100), np.uint8))
    assert Preprocess.from_options(ignore_mask=tmp_path / "m.png", source_shape=(60, 100)) == Preprocess()


@pytest.mark.parametrize(
    "text", ["", "1,2,3", "a,b,c,d", "1,2,3,4,5", "1.5,2,30,40", "-1,0,30,30", "0,0,15,99"]
)
def test_a_region_that_cannot_be(text):
    with pytest.raises(DmddError, match="region of interest"):
        parse_roi(text)


def test_errors_name_both_sizes(tmp_path, image):
    assert parse_roi(" 1, 2,30 ,40") == (1, 2, 30, 40)
    with pytest.raises(DmddError, match=r"90,10,20,20 .*100 x 60"):
        Preprocess(roi=(90, 10, 20, 20)).apply(image)
    with pytest.raises(DmddError, match=r"0,50,20,20 .*100 x 60"):
        Preprocess.from_options("0,50,20,20", source_shape=image.shape)
    with pytest.raises(DmddError, match="45 degrees"):
        Preprocess.from_options(rotate=45)
    cv2.imwrite(str(tmp_path / "m.png"), np.zeros((61, 100), np.uint8))
    with pytest.raises(DmddError, match=r"100 x 61 .*100 x 60 or the region's 40 x 30"):
        Preprocess.from_options("0,0,40,30", 0, tmp_path / "m.png", source_shape=image.shape)
    cv2.imwrite(str(tmp_path / "w.png"), np.full((60, 100), 255, np.uint8))
    with pytest.raises(DmddError, match="covers the whole"):
        Preprocess.from_options(ignore_mask=tmp_path / "w.png", source_shape=image.shape)


def test_a_broken_manifest_is_refused():
    with pytest.raises(ValidationError):
        Preprocess(rotate=30)
    with pytest.raises(ValidationError, match="not a PNG"):
        Preprocess(ignore="bm90IGEgcG5n")
    # A header of 64 x 64 pixels with nothing behind it: only decoding tells.
    header = b"\x89PNG\r\n\x1a\n" + b"\0\0\0\x0dIHDR" + b"\0\0\0\x40" * 2 + b"\x01\0\0\0\0"
    with pytest.raises(DmddError, match="ignore mask"):
        Preprocess(ignore=base64.b64encode(header).decode()).geometry((64, 64), 64)


def test_an_image_that_small_tiles_enlarge_beyond_reason_is_refused_before_any_work():
    tiles = Preprocess(tiling=Tiling(tile=32, overlap=8))
    assert tiles.geometry((10_000, 10_000), 64).shape == (20_000, 20_000)
    with pytest.raises(DmddError, match="enlarged to 80000 x 80000") as caught:
        tiles.geometry((10_000, 10_000), 256)
    assert "--tile" in caught.value.fix


@pytest.mark.parametrize("error", [MemoryError(), cv2.error("Insufficient memory")])
def test_too_little_memory_for_a_view_concerns_its_image_alone(monkeypatch, error):
    if isinstance(error, cv2.error):
        error.code = -4
    tiles = Preprocess(tiling=Tiling(tile=32, overlap=8))
    monkeypatch.setattr("dmdd_edge.data.images.stretch", Mock(side_effect=error))
    with pytest.raises(DmddError, match=r"part\.png: too little memory .* 200 x 100 pixels"):
        tiles.prepare(np.zeros((100, 200, 3), np.uint8), 64, "part.png")


def test_other_errors_of_opencv_are_bugs(monkeypatch):
    monkeypatch.setattr("dmdd_edge.data.images.stretch", Mock(side_effect=cv2.error("bad flag")))
    with pytest.raises(cv2.error):
        Preprocess().prepare(np.zeros((100, 200, 3), np.uint8), 64)
