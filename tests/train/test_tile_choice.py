"""The tiling that --tile, --overlap and --smallest-defect give."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import OptionError
from dmdd_edge.train.doubts import doubts
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.tile_choice import choose_tiling, defect_pixels, inputs_each, lost_below, side_for


def images_of(folder: Path, width: int, height: int, count: int = 3) -> list[Path]:
    folder.mkdir(exist_ok=True)
    for number in range(count):
        cv2.imwrite(str(folder / f"{number}.png"), np.zeros((height, width), np.uint8))
    return sorted(folder.iterdir())


def chosen(folder: Path, size: int = 256, **options: Any) -> tuple[Tiling | None, list[str]]:
    values = TrainOptions(data=folder, **options).values()
    return choose_tiling(values, Preprocess(), sorted(folder.iterdir()), size)


@pytest.mark.parametrize(
    ("defect", "size", "side"),
    # A defect covers six pixels of the input: the side is size * defect / 6, rounded down to 32, and at least
    # half of the input.
    [(12, 256, 512), (6, 256, 256), (24, 256, 1024), (7, 256, 288), (1, 256, 128), (12, 512, 1024)],
)
def test_the_side_shows_the_smallest_defect(defect: float, size: int, side: int) -> None:
    assert side_for(defect, size) == side


def test_auto_takes_the_side_for_the_defect(tmp_path: Path) -> None:
    images_of(tmp_path / "good", 2000, 1500)
    tiling, lines = chosen(tmp_path / "good", tile="auto", smallest_defect="6px", coarse=True)
    assert tiling == Tiling(tile=256, overlap=64, margin=16, coarse=True)
    assert lines == ["tiles: smallest defect 6 px, so tiles of 256 px"]
    tiling, lines = chosen(tmp_path / "good", tile="auto", overlap=100)
    assert tiling == Tiling(tile=512, overlap=100, margin=25)
    assert "assumed" in lines[0]


def test_auto_cuts_no_tiles_that_are_not_needed(tmp_path: Path) -> None:
    images_of(tmp_path / "good", 500, 400)
    tiling, [line] = chosen(tmp_path / "good", tile="auto", smallest_defect="12px")
    assert tiling is None
    assert line.startswith("tiles: none needed")


def test_a_defect_that_no_tile_shows_is_said(tmp_path: Path) -> None:
    images_of(tmp_path / "good", 500, 400)
    tiling, lines = chosen(tmp_path / "good", tile="auto", smallest_defect="1px")
    assert tiling == Tiling(tile=128, overlap=32, margin=8)
    assert "2 px of the network's input" in lines[1]
    assert len(chosen(tmp_path / "good", tile="auto", smallest_defect="2px")[1]) == 1  # 4 px of it


def test_millimeters() -> None:
    values = TrainOptions(tile="auto", smallest_defect="0.5mm", mm_per_px=0.05).values()
    assert defect_pixels(values) == pytest.approx(10)


def test_what_is_lost_without_tiles() -> None:
    assert lost_below(2048 / 256) == 24  # three pixels of the network's input
    assert lost_below(4096 / 256) == 48


@pytest.mark.parametrize(("defect", "tile"), [(24, None), (23, 960), (12, 512)])
def test_auto_and_the_note_have_one_rule(tmp_path: Path, defect: int, tile: int | None) -> None:
    """``auto`` cuts tiles exactly for what the note of a training without tiles calls lost."""
    images_of(tmp_path / "good", 2048, 2048, 1)
    tiling, _ = chosen(tmp_path / "good", tile="auto", smallest_defect=f"{defect}px")
    assert (tiling and tiling.tile) == tile
    assert (defect < lost_below(2048 / 256)) == (tile is not None)
    [line] = [line for line in doubts({(2048, 2048): 30}, 256) if "likely missed" in line]
    assert "smaller than about 24 pixels" in line


def test_images_that_lose_no_usual_defect_have_no_note() -> None:
    assert doubts({(1024, 1024): 30}, 256) == []  # 12 pixels are three of the input
    assert "smaller than about 13 pixels" in doubts({(1100, 900): 30}, 256)[0]


def test_a_tile_that_covers_the_images_is_refused(tmp_path: Path) -> None:
    images_of(tmp_path / "good", 500, 400)
    with pytest.raises(OptionError, match="one tile covers the images of 500 x 400"):
        chosen(tmp_path / "good", tile="512")
    tiling, _ = chosen(tmp_path / "good", tile="400")
    assert tiling == Tiling(tile=400, overlap=100, margin=25)


def test_the_region_of_interest_counts(tmp_path: Path) -> None:
    paths = images_of(tmp_path / "good", 500, 400)
    values = TrainOptions(tile="256").values()
    with pytest.raises(OptionError, match="100 x 200"):
        choose_tiling(values, Preprocess(roi=(0, 0, 200, 100), rotate=90), paths, 256)


def test_inputs_of_an_image(tmp_path: Path) -> None:
    paths = images_of(tmp_path / "good", 480, 256)
    # (480 - 32) / (256 - 32) = 2 tiles, and the whole image.
    preprocess = Preprocess(tiling=Tiling(tile=256, overlap=32, coarse=True))
    assert inputs_each(preprocess, paths, 64) == 3
    assert inputs_each(Preprocess(), paths, 64) == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": 8}, "--overlap has no effect without --tile"),
        ({"coarse": True}, "--coarse has no effect without --tile"),
        ({"tile": "512", "smallest_defect": "12px"}, "no effect without --tile auto"),
        ({"tile": "auto", "smallest_defect": "12px", "mm_per_px": 0.1}, "--mm-per-px has no effect"),
        ({"tile": "auto", "smallest_defect": "0.5mm"}, "needs the size of a pixel"),
        ({"tile": "auto", "smallest_defect": "small"}, "is not an extent"),
        ({"tile": "auto", "smallest_defect": "0px"}, "is not an extent"),
        ({"tile": "big"}, "is not the side of a tile"),
        ({"tile": "31"}, "is not the side of a tile"),
        ({"tile": 512, "overlap": 256}, "half of the tile"),
        ({"tile": "512", "fit": "pad"}, "--fit has no effect with --tile"),
    ],
)
def test_contradictions_are_refused(options: dict[str, Any], message: str) -> None:
    with pytest.raises(OptionError, match=message):
        TrainOptions(**options)


def test_a_whole_number_is_a_tile() -> None:
    assert TrainOptions(tile=512).tile == "512"  # type: ignore[arg-type]
