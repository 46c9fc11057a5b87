"""Tiles of whatever image comes: every kind is inspected, or named with what to do; the run goes on."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame

MakeBundle = Callable[..., Bundle]
#: Left, top and side of the defect.
X, Y, SIDE = 28, 8, 24


def part(width: int, height: int) -> NDArray[np.uint8]:
    """A dark gray part with a light square."""
    image = np.full((height, width), 20, np.uint8)
    image[Y : Y + SIDE, X : X + SIDE] = 230
    return image


def rgb(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.repeat(part(width, height)[..., None], 3, axis=2))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    place = tmp_path / "frames"
    place.mkdir()
    rgb(200, 150).save(place / "usual.png")
    rgb(56, 40).save(place / "below_a_tile.png")
    rgb(64 + 48 + 1, 64).save(place / "one_column_more.png")
    rgb(40 * 8, 40).save(place / "web.png")
    rgb(56, 56 * 8).save(place / "web_upright.png")
    rgb(1600, 1500).save(place / "many_tiles.jpg")
    Image.fromarray(part(200, 150)).save(place / "gray.png")
    Image.fromarray(part(200, 150).astype(np.uint16) * 257).save(place / "bits16.png")
    rgb(200, 150).convert("RGBA").save(place / "alpha.png")
    rgb(200, 150).convert("CMYK").save(place / "cmyk.jpg")
    turned = Image.fromarray(np.rot90(np.asarray(rgb(200, 150))).copy())
    exif = turned.getexif()
    exif[0x0112] = 6  # shown a quarter turn clockwise
    turned.save(place / "turned.jpg", exif=exif)
    return place


def test_a_defect_is_found_at_its_place_in_images_of_every_kind(
    make_bundle: MakeBundle, folder: Path
) -> None:
    bundle = make_bundle(preprocess=Preprocess(tiling=Tiling(tile=64, overlap=16)))
    with Detector.load(bundle.path, "cpu") as detector:
        results = {Path(result.source).stem: result for result in detector.stream(str(folder))}
    assert len(results) == 11
    for name, result in results.items():
        assert result.status == "anomalous", name
        [region] = result.regions
        assert (region.x, region.y) == pytest.approx((X, Y), abs=4), name
        assert (region.width, region.height) == pytest.approx((SIDE, SIDE), abs=8), name
    assert results["turned"].geometry is not None
    assert results["turned"].geometry.source == (150, 200)


def test_files_that_cannot_be_used_are_named_with_what_to_do(
    make_bundle: MakeBundle, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    place = tmp_path / "frames"
    place.mkdir()
    rgb(200, 150).save(place / "whole.jpg")
    whole = (place / "whole.jpg").read_bytes()
    (place / "cut.jpg").write_bytes(whole[: len(whole) // 2])
    (place / "empty.png").write_bytes(b"")
    Image.fromarray(np.zeros((64, 64), np.float32)).save(place / "float.tif")
    rgb(1500, 1400).save(place / "huge.png")
    monkeypatch.setenv("DMDD_MAX_MEGAPIXELS", "2")
    broken: list[BrokenFrame] = []
    bundle = make_bundle(preprocess=Preprocess(tiling=Tiling(tile=64, overlap=16)))
    with Detector.load(bundle.path, "cpu") as detector:
        results = list(detector.stream(str(place), on_error=broken.append))
    assert [Path(result.source).name for result in results] == ["whole.jpg"]
    said = {Path(frame.source).name: frame.error for frame in broken}
    for name, message, fix in (
        ("cut.jpg", "ends too early", "whole one"),
        ("empty.png", "is empty", "whole one"),
        ("float.tif", "float32 pixels", "16-bit PNG"),
        ("huge.png", "at most 2 megapixels", "DMDD_MAX_MEGAPIXELS"),
    ):
        assert message in said.pop(name).message
        assert fix in next(frame.error.fix for frame in broken if Path(frame.source).name == name)
    assert not said
