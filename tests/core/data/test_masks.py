"""What a mask file marks, whatever tool wrote it; and files that cannot be masks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.images import fit_mask
from dmdd_edge.data.masks import read_mask
from dmdd_edge.errors import DmddError

RNG = np.random.default_rng(4)
SHAPE = (96, 128)
FIRST, SECOND, THIN = np.zeros(SHAPE, bool), np.zeros(SHAPE, bool), np.zeros(SHAPE, bool)
FIRST[20:50, 30:70] = True
SECOND[60:90, 80:110] = True
THIN[10, 5:60] = True


def saved(tmp_path: Path, values: Any, suffix: str = ".png", *options: int) -> Path:
    path = tmp_path / f"mask{suffix}"
    done, data = cv2.imencode(suffix, np.asarray(values), list(options))
    assert done
    path.write_bytes(data.tobytes())
    return path


def levels(first: int, second: int, thin: int = 0, dtype: Any = np.uint8) -> Any:
    values = np.zeros(SHAPE, dtype)
    values[FIRST], values[SECOND], values[THIN] = first, second, thin
    return values


@pytest.mark.parametrize(
    ("values", "marked"),
    [
        ([0, 255, 255], [0, 1, 1]),
        ([0, 1, 1], [0, 1, 1]),
        ([0, 127, 255], [0, 0, 1]),
        ([0, 128, 255], [0, 1, 1]),
        ([0, 0, 0], [0, 0, 0]),
    ],
)
def test_masks_of_any_range(tmp_path, values, marked):
    path = saved(tmp_path, np.array([values], np.uint8))
    np.testing.assert_array_equal(read_mask(path), np.array([marked], bool))
    path = saved(tmp_path, np.array([values], np.uint16) * np.uint16(257))
    np.testing.assert_array_equal(read_mask(path), np.array([marked], bool))


@pytest.mark.parametrize("suffix", [".png", ".bmp", ".tif"])
@pytest.mark.parametrize(
    ("first", "second", "thin"),
    [(1, 3, 2), (255, 255, 255), (1, 1, 1), (128, 255, 255), (85, 170, 255), (50, 255, 100), (1, 255, 255)],
)
def test_every_class_counts(tmp_path: Path, first: int, second: int, thin: int, suffix: str) -> None:
    found = read_mask(saved(tmp_path, levels(first, second, thin), suffix))
    np.testing.assert_array_equal(found, FIRST | SECOND | THIN)


@pytest.mark.parametrize(("first", "second"), [(1, 3), (65535, 65535), (21845, 65535), (255, 255)])
def test_sixteen_bits(tmp_path: Path, first: int, second: int) -> None:
    found = read_mask(saved(tmp_path, levels(first, second, dtype=np.uint16)))
    np.testing.assert_array_equal(found, FIRST | SECOND)


def test_classes_that_touch(tmp_path: Path) -> None:
    values = np.zeros(SHAPE, np.uint8)
    values[20:40, 20:60], values[40:60, 20:60] = 80, 240
    assert read_mask(saved(tmp_path, values)).sum() == 40 * 40


@pytest.mark.parametrize("blur", [0.7, 1.5, 3.0])
def test_smooth_edges_are_cut_at_their_middle(tmp_path: Path, blur: float) -> None:
    smooth = cv2.GaussianBlur(levels(255, 255), (0, 0), blur)
    found = read_mask(saved(tmp_path, smooth))
    assert np.count_nonzero(found != (smooth >= 128)) == 0
    shrunk = cv2.resize(levels(255, 255), (64, 48), interpolation=cv2.INTER_AREA)  # few levels in between
    enlarged = cv2.resize(shrunk, SHAPE[::-1], interpolation=cv2.INTER_LINEAR)
    np.testing.assert_array_equal(read_mask(saved(tmp_path, enlarged)), enlarged >= 128)


@pytest.mark.parametrize("quality", [50, 75, 95])
@pytest.mark.parametrize("kept_as", [".jpg", ".png"])
def test_the_noise_of_a_jpeg_does_not_count(tmp_path: Path, quality: int, kept_as: str) -> None:
    moved = np.roll(levels(255, 255, 255), (3, 5), (0, 1))  # off the grid of 8 x 8 blocks
    path = saved(tmp_path, moved, ".jpg", cv2.IMWRITE_JPEG_QUALITY, quality)
    noisy = cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)
    assert len(np.unique(noisy)) > 8
    if kept_as == ".png":
        path = saved(tmp_path, noisy)
    assert np.count_nonzero(read_mask(path) != (moved > 0)) <= 15


def test_classes_in_a_jpeg(tmp_path: Path) -> None:
    path = saved(tmp_path, np.roll(levels(85, 255), (3, 5), (0, 1)), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 90)
    expected = np.roll(FIRST | SECOND, (3, 5), (0, 1))
    assert np.count_nonzero(read_mask(path) != expected) <= 40  # of 2100: edges
    with pytest.raises(DmddError, match="class numbers are lost"):
        read_mask(saved(tmp_path, levels(1, 3), ".jpg", cv2.IMWRITE_JPEG_QUALITY, 95))


def test_colours_on_black(tmp_path: Path) -> None:
    values = np.zeros((*SHAPE, 3), np.uint8)
    values[FIRST], values[SECOND], values[THIN] = (0, 0, 128), (0, 70, 0), (60, 20, 220)
    np.testing.assert_array_equal(read_mask(saved(tmp_path, values)), FIRST | SECOND | THIN)


@pytest.mark.parametrize("paint", [(255, 255, 255), (0, 0, 0), (0, 0, 255), (1, 1, 1)])
@pytest.mark.parametrize("elsewhere", ["same", "black", "white"])
@pytest.mark.parametrize("deep", [1, 257])
def test_paint_on_a_transparent_layer(
    tmp_path: Path, paint: tuple[int, int, int], elsewhere: str, deep: int
) -> None:
    ground = {"same": paint, "black": (0, 0, 0), "white": (255, 255, 255)}[elsewhere]
    values = np.zeros((*SHAPE, 4), np.uint16 if deep > 1 else np.uint8)
    values[..., :3] = np.array(ground) * deep
    values[FIRST] = np.array([*paint, 255]) * deep
    np.testing.assert_array_equal(read_mask(saved(tmp_path, values)), FIRST)


def test_an_opaque_or_unused_alpha_says_nothing(tmp_path: Path) -> None:
    for alpha in (255, 0):
        values = np.dstack([*[levels(255, 255)] * 3, np.full(SHAPE, alpha, np.uint8)])
        np.testing.assert_array_equal(read_mask(saved(tmp_path, values)), FIRST | SECOND)


def test_black_and_white_paint_on_a_transparent_layer(tmp_path: Path) -> None:
    alpha = np.where(np.arange(SHAPE[1]) < 75, 255, 0) * np.ones((SHAPE[0], 1))
    values = np.dstack([*[levels(255, 255)] * 3, alpha.astype(np.uint8)])
    np.testing.assert_array_equal(read_mask(saved(tmp_path, values)), FIRST)


def palette_png(path: Path, index: Any, colours: list[tuple[int, int, int]]) -> Path:
    Image = pytest.importorskip("PIL.Image")
    image = Image.fromarray(np.asarray(index, np.uint8)).convert("L")
    image = Image.frombytes("P", image.size, image.tobytes())
    image.putpalette([part for colour in colours for part in colour])
    image.save(path)
    return path


def test_palettes(tmp_path: Path) -> None:
    index = levels(1, 3, 2)
    expected = FIRST | SECOND | THIN
    for colours in (
        [(0, 0, 0), (128, 0, 0), (0, 128, 0), (20, 20, 0)],  # VOC's: black first
        [(90, 90, 90), (200, 0, 0), (60, 60, 60), (255, 255, 255)],  # no black: the first is the ground
    ):
        np.testing.assert_array_equal(read_mask(palette_png(tmp_path / "p.png", index, colours)), expected)


def picture() -> Any:
    values = RNG.normal((175, 190, 200), 4, (*SHAPE, 3)).clip(0, 255).astype(np.uint8)
    cv2.circle(values, (64, 48), 30, (40, 60, 150), -1)
    return values


@pytest.mark.parametrize("suffix", [".png", ".jpg"])
def test_a_mask_drawn_on_the_image_is_refused(tmp_path: Path, suffix: str) -> None:
    values = picture()
    for drawn in (values, values * np.uint8(1)):
        drawn[FIRST] = (0, 0, 255)
        with pytest.raises(DmddError, match="photograph or shades") as caught:
            read_mask(saved(tmp_path, drawn, suffix))
        assert "mask" in caught.value.message
        assert "PNG" in caught.value.fix


def test_a_heat_map_is_refused(tmp_path: Path) -> None:
    heat = cv2.GaussianBlur(levels(255, 255), (0, 0), 25)
    with pytest.raises(DmddError, match="photograph or shades"):
        read_mask(saved(tmp_path, heat))


@pytest.mark.parametrize(("ground", "defect"), [(127, 255), (1, 2), (255, 100)])
def test_a_mask_without_black_is_refused(tmp_path: Path, ground: int, defect: int) -> None:
    values = np.full(SHAPE, ground, np.uint8)
    values[FIRST] = defect
    with pytest.raises(DmddError, match="no pixel is black"):
        read_mask(saved(tmp_path, values))


def test_one_value_marks_all_or_nothing(tmp_path: Path) -> None:
    assert not read_mask(saved(tmp_path, np.zeros(SHAPE, np.uint8))).any()
    assert read_mask(saved(tmp_path, np.full(SHAPE, 255, np.uint8))).all()


def test_a_mask_is_stretched_to_its_image() -> None:
    mask = np.zeros((4, 6), bool)
    mask[1, 2] = True
    found = fit_mask(mask, (8, 12, 3))
    assert found.shape == (8, 12)
    assert found[2:4, 4:6].all()
    assert found.sum() == 4
