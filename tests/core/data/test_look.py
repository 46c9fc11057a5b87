"""What images look like, on drawn plates that are compressed, darkened, blurred or resized here."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image as Pillow
from pydantic import ValidationError

from dmdd_edge.data.causes import find_causes
from dmdd_edge.data.jpeg_traces import grid_contrast, jpeg_quality, step_table
from dmdd_edge.data.look import ImageLook, Look, Range, look_at, look_of
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DmddError
from dmdd_edge.sample.plate import Plate
from dmdd_edge.sample.plate_defects import DEFECTS
from dmdd_edge.sample.write import draw

Image = NDArray[np.uint8]
WHOLE = Preprocess()
PLATE = Plate(192)


def plates(seed: int, count: int = 8, defect: str | None = None) -> list[Image]:
    return [draw(PLATE, seed, "train", index, defect)[0] for index in range(count)]


def jpeg(quality: int) -> Callable[[Image], Image]:
    def change(image: Image) -> Image:
        data = cv2.imencode(".jpg", image, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
        return np.asarray(cv2.imdecode(data, cv2.IMREAD_COLOR), np.uint8)

    return change


def looks(images: list[Image], change: Callable[[Image], Image] = lambda image: image) -> list[ImageLook]:
    return [look_at(change(image), WHOLE) for image in images]


@pytest.fixture(scope="module")
def good() -> list[Image]:
    return plates(seed=0, count=16)


@pytest.fixture(scope="module")
def look(good: list[Image]) -> Look:
    return look_of(looks(good), [".png"] * 16)


def test_the_look_of_plates(look: Look, good: list[Image]) -> None:
    assert (look.images, look.sizes, look.kinds, look.jpeg_quality) == (16, ((192, 192),), ("png",), None)
    assert look.blocks.high < 0.05
    light = sorted(float(cv2.cvtColor(image, cv2.COLOR_BGR2GRAY).mean()) for image in good)
    assert (look.light.low, look.light.high) == pytest.approx((light[0], light[-1]), abs=0.5)
    assert look.light.middle == pytest.approx(float(np.median(light)), abs=0.5)


@pytest.mark.parametrize("quality", [98, 95, 85, 70, 40, 25])  # every second step of 25 fits 50 too
def test_the_pixels_tell_the_quality_of_jpeg(quality: int, good: list[Image]) -> None:
    grey = cv2.cvtColor(jpeg(quality)(good[0]), cv2.COLOR_BGR2GRAY)
    assert jpeg_quality(grey) == quality
    assert jpeg_quality(cv2.cvtColor(good[0], cv2.COLOR_BGR2GRAY)) is None
    assert grid_contrast(grey) > 0.15
    assert jpeg_quality(np.zeros((4, 4), np.uint8)) is None  # not a single block


def test_the_steps_are_those_that_an_encoder_writes(tmp_path: Path) -> None:
    for quality in (30, 75, 95):
        Pillow.new("L", (16, 16)).save(tmp_path / "a.jpg", quality=quality)
        written = vars(Pillow.open(tmp_path / "a.jpg"))["quantization"][0]  # row by row
        assert step_table(quality).ravel().tolist() == list(map(float, written))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("change", "name", "words"),
    [
        (jpeg(95), "compression", ["JPEG of quality 95, in training no JPEG"]),
        (jpeg(85), "compression", ["JPEG of quality 85"]),
        (jpeg(70), "compression", ["JPEG of quality 70"]),
        (lambda image: (image * 0.6).astype(np.uint8), "light", ["darker", "in training"]),
        (lambda image: cv2.add(image, (40, 40, 40, 0)), "light", ["brighter"]),
        (lambda image: cv2.GaussianBlur(image, (0, 0), 1.0), "sharpness", ["blurred"]),
        (
            lambda image: cv2.resize(image, (96, 96), interpolation=cv2.INTER_AREA),
            "size",
            ["smaller (96 x 96"],
        ),
        (lambda image: cv2.resize(image, (256, 192)), "aspect", ["256 x 192", "192 x 192", "stretched"]),
        (lambda image: cv2.merge([image[..., 1]] * 3), "grey", ["the training images are in color"]),
        (lambda image: (image * [0.8, 1, 1]).astype(np.uint8), "colour", ["less blue"]),
    ],
)
def test_the_likely_cause_comes_first(
    change: Callable[[Image], Image], name: str, words: list[str], look: Look
) -> None:
    causes = find_causes(look, looks(plates(seed=7), change), WHOLE)
    assert causes[0].name == name, causes
    assert [word for word in words if word not in causes[0].text] == []
    assert causes[0].fix.endswith(".")


def test_two_changes_at_once_are_both_named(look: Look) -> None:
    seen = looks(plates(seed=7), lambda image: jpeg(80)((image * 0.6).astype(np.uint8)))
    assert {cause.name for cause in find_causes(look, seen, WHOLE)} == {"compression", "light"}


@pytest.mark.slow
@pytest.mark.parametrize("defect", [None, *DEFECTS])
def test_other_plates_have_no_cause(defect: str | None, look: Look) -> None:
    for seed in (1, 2):
        assert find_causes(look, looks(plates(seed, 6, defect)), WHOLE) == []


def test_trained_on_jpeg(good: list[Image]) -> None:
    look = look_of(looks(good[:8], jpeg(90)), [".jpg"] * 8)
    assert look.jpeg_quality == 90
    others = plates(seed=7)
    assert find_causes(look, looks(others, jpeg(90)), WHOLE) == []
    (lossless,) = find_causes(look, looks(others), WHOLE)
    assert lossless.text == "compressed differently (no JPEG, in training JPEG of quality 90)"
    assert find_causes(look, looks(others, jpeg(50)), WHOLE)[0].name == "compression"


def test_a_region_of_interest_is_what_is_measured(good: list[Image]) -> None:
    """A bright frame around it does not count, and another size of frame moves it."""
    roi = Preprocess(roi=(20, 28, 192, 192))

    def framed(image: Image, level: int) -> Image:
        frame = np.full((240, 240, 3), level, np.uint8)
        frame[28:220, 20:212] = image
        return frame

    look = look_of([look_at(framed(image, 20), roi) for image in good])
    assert find_causes(look, [look_at(framed(image, 250), roi) for image in good], roi) == []
    larger = [look_at(cv2.resize(framed(image, 20), (480, 480)), roi) for image in good]
    assert find_causes(look, larger, roi)[0].name == "size"


def test_large_and_small_images_are_measured() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (1500, 2000, 3), np.uint8)
    assert look_at(noise, WHOLE).part.shape == (512, 512)
    assert look_at(noise[:17, :16], WHOLE).size == (16, 17)
    assert look_at(noise[:40, :40], Preprocess(roi=(3, 3, 20, 20))).light == pytest.approx(127, abs=10)


def test_ranges_are_in_order_and_no_image_is_an_error() -> None:
    assert Range.of([3.0, 1.0, 2.0]) == Range(low=1, middle=2, high=3)
    assert [Range(low=1, middle=2, high=3).excess(value) for value in (0.5, 2.5, 4.0)] == [-0.5, 0.0, 1.0]
    with pytest.raises(ValidationError):
        Range(low=2, middle=1, high=3)
    with pytest.raises(DmddError, match="no image"):
        look_of([])
