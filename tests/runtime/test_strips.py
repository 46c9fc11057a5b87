"""Strips of a web: every defect is found once, wherever the borders are."""

from __future__ import annotations

import itertools
import json
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import DmddError
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.place_levels import PlaceLevels
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.calibrate import calibrate
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.options.calibrate import CalibrateOptions
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources.base import FileProgress
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.strips import Strips
from dmdd_edge.runtime.strips import Border, Strip, keep_own

MakeBundle = Callable[..., Bundle]
Image = NDArray[np.uint8]
OVERLAP, WIDTH = 32, 96


class Web(FileProgress):
    """Strips from memory."""

    def __init__(self, frames: Sequence[Frame | BrokenFrame]) -> None:
        super().__init__("web")
        self.root, self.total, self._frames_to_come = Path(), len(frames), frames

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        yield from self._frames_to_come


def strips(web: Image, heights: Sequence[int]) -> list[Frame]:
    """The web, cut at these heights."""
    ends = np.cumsum(heights)
    parts = np.split(web, ends[:-1])
    return [Frame(part, f"strip-{index}", index=index) for index, part in enumerate(parts)]


def tiled(rotate: int = 0, **fields: object) -> Preprocess:
    return Preprocess(rotate=rotate, tiling=Tiling(tile=64, overlap=16), **fields)  # type: ignore[arg-type]


def run(detector: Detector, frames: Sequence[Frame | BrokenFrame], overlap: int = OVERLAP) -> list[Result]:
    return list(detector.stream(Strips(Web(frames), overlap), on_error=lambda frame: None))


def regions(results: Sequence[Result]) -> list[tuple[int, ...]]:
    """Every region along the web: x, web_y, width, height, area."""
    return sorted((r.x, r.web_y or 0, r.width, r.height, r.area) for item in results for r in item.regions)


def spotted(rng: np.random.Generator, rows: int) -> Image:
    """A web with defects of up to the overlap's height at random places, none of which touch."""
    web, used = np.full((rows, WIDTH, 3), 20, np.uint8), np.zeros((rows, WIDTH), np.bool_)
    for _ in range(60):
        height, width = int(rng.integers(1, OVERLAP + 1)), int(rng.integers(1, 40))
        y, x = int(rng.integers(0, rows - height + 1)), int(rng.integers(0, WIDTH - width + 1))
        around = (slice(max(y - 2, 0), y + height + 2), slice(max(x - 2, 0), x + width + 2))
        if not used[around].any():
            used[around] = True
            web[y : y + height, x : x + width, 0] = rng.integers(150, 255)
    return web


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_strips_of_any_size_give_the_regions_of_the_whole_web(make_bundle: MakeBundle, rotate: int) -> None:
    rng = np.random.default_rng(rotate)
    with Detector.load(make_bundle(preprocess=tiled(rotate)).path) as detector:
        for _ in range(4):
            web = spotted(rng, 900)
            whole = detector(web)
            heights: list[int] = []
            while sum(heights) < len(web):
                heights.append(min(int(rng.integers(16, 250)), len(web) - sum(heights)))
            results = run(detector, strips(web, heights))
            assert regions(results) == sorted((r.x, r.y, r.width, r.height, r.area) for r in whole.regions)
            assert len(whole.regions) >= 15
            # The rows that the strips own are the whole web, once.
            owned = [(r.strip.web_y + r.strip.first, r.strip.end - r.strip.first) for r in results if r.strip]
            assert owned[0][0] == 0
            assert [start + rows for start, rows in owned] == [*(start for start, _ in owned[1:]), len(web)]


def test_a_defect_on_a_border_is_one_region_of_one_strip(make_bundle: MakeBundle) -> None:
    with Detector.load(make_bundle(preprocess=tiled()).path) as detector:
        for offset in range(-40, 21):
            web = np.full((200, WIDTH, 3), 20, np.uint8)
            web[100 + offset : 120 + offset, 30:50, 0] = 230
            first, second = run(detector, strips(web, [100, 100]))
            assert len(first.regions) + len(second.regions) == 1, offset
            found, other = (first, second) if first.regions else (second, first)
            assert found.regions[0].area == 400
            assert (found.status, other.status) == ("anomalous", "good"), "it counts in one score alone"
            assert (found is first) == (offset < -26), "the strip that owns the center, row 110 + offset"


def test_a_longer_defect_is_a_region_of_each_strip_that_it_crosses(make_bundle: MakeBundle) -> None:
    web = np.full((400, WIDTH, 3), 20, np.uint8)
    web[50:350, 40:44, 0] = 230
    with Detector.load(make_bundle(preprocess=tiled()).path) as detector:
        results = run(detector, strips(web, [100] * 4))
    assert [len(result.regions) for result in results] == [1, 1, 1, 1]
    covered = sorted((r.web_y or 0, (r.web_y or 0) + r.height) for item in results for r in item.regions)
    assert covered[0][0] == 50
    assert covered[-1][1] == 350
    assert all(end >= start for (_, end), (start, _) in itertools.pairwise(covered))


@pytest.mark.parametrize("shift", [-3, -1, 0, 1, 3])
def test_maps_that_differ_at_a_border_lose_nothing_and_find_nothing_twice(shift: int) -> None:
    """The center is seen on either side of the middle of the shared rows."""
    border = Border()
    upper = Strip(0, OVERLAP, 0, 0, 100 - OVERLAP // 2, lower=border)
    lower = Strip(100 - OVERLAP, OVERLAP, 0, OVERLAP // 2, 132, upper=border)
    found = 0
    for strip, rows, middle in ((upper, 100, 84), (lower, 132, 16 + shift)):
        anomaly_map = np.zeros((rows, WIDTH), np.float32)
        anomaly_map[middle - 5 : middle + 5, 20:30] = 0.9
        geometry = tiled().geometry((rows, WIDTH), 64)
        found += int(keep_own(anomaly_map, geometry, strip, 0.5)[0].any())
    assert found == 1


def test_gaps_are_counted_and_nothing_is_lost_beside_them(make_bundle: MakeBundle) -> None:
    web = np.full((400, WIDTH, 3), 20, np.uint8)
    for row in (92, 100, 192, 200, 292, 300):  # directly before and after each border
        web[row : row + 8, 30:50, 0] = 230
    a, _, c, d = strips(web, [100] * 4)
    said: list[str] = []
    with Detector.load(make_bundle(preprocess=tiled()).path) as detector:
        frames = [
            a,
            BrokenFrame("strip-b", 1, DmddError("b: cannot be read", "x")),
            Frame(c.image, "c", index=2, dropped=2),
            Frame(d.image[:, :80], "d", index=3),
        ]
        source = Strips(Web(frames), OVERLAP)
        results = []
        for result in detector.stream(source, on_error=lambda frame: None):
            source.say = said.append
            results.append(result)
    # One strip could not be read, and two were dropped besides: all of 100 rows.
    places = [(30, 92, 8), (30, 400, 8), (30, 492, 8), (30, 500, 8)]
    assert [
        (r.x, r.web_y, r.height) for item in results for r in sorted(item.regions, key=lambda r: r.y)
    ] == (places)
    assert source.state().gaps == 2
    assert [result.strip.gap for result in results if result.strip] == [False, True, True]


def test_strips_too_short_to_own_rows_have_no_result_and_nothing_of_them_is_lost(
    make_bundle: MakeBundle, caplog: pytest.LogCaptureFixture
) -> None:
    web = np.full((96, WIDTH, 3), 20, np.uint8)
    for row in (0, 12, 60):
        web[row : row + 8, 30:50, 0] = 230
    frames = strips(web, [8] * 12)
    frames[6] = replace(frames[6], dropped=3)
    source = Strips(Web(frames), OVERLAP)
    with Detector.load(make_bundle(preprocess=tiled()).path) as detector:
        results = list(detector.stream(source))
    rows = [r.strip.to_json() for r in results if r.strip]
    # Half of the overlap is 16 rows: the third strip is the first that owns any. Three strips are missing
    # before the seventh, so that the two after the gap own none again.
    assert [(r.index, r.dropped) for r in results] == [(i, 3 * (i == 8)) for i in (2, 3, 4, 5, 8, 9, 10, 11)]
    assert [(row["web_y"], row["rows"]) for row in rows] == [
        *((0, 8), (8, 8), (16, 8), (24, 24)),
        *((72, 8), (80, 8), (88, 8), (96, 24)),
    ]
    assert [row.get("gap", False) for row in rows] == [False] * 4 + [True] + [False] * 3
    assert regions(results) == [(30, row, 20, 8, 160) for row in (0, 12, 84)]
    assert "The first ones have no result: their rows belong to that of a later one." in caplog.text


def test_camera_numbers_show_a_gap(make_bundle: MakeBundle) -> None:
    web = np.full((300, WIDTH, 3), 20, np.uint8)
    numbered = [
        Frame(frame.image, "camera", index=at, frame_id=number)
        for at, (frame, number) in enumerate(zip(strips(web, [100] * 3), (65534, 65535, 1), strict=True))
    ]
    source = Strips(Web(numbered), OVERLAP)
    assert [frame.strip.web_y for frame in source if isinstance(frame, Frame) and frame.strip] == [
        -32,
        68,
        168,
    ]
    assert source.state().gaps == 0, "a camera's counter begins again at 1"
    later = [
        Frame(frame.image, "c", index=at, frame_id=number)
        for at, (frame, number) in enumerate(zip(numbered, (7, 8, 10), strict=True))
    ]
    source = Strips(Web(later), OVERLAP)
    assert [frame.strip.web_y for frame in source if isinstance(frame, Frame) and frame.strip] == [
        -32,
        68,
        268,
    ]
    assert source.state().gaps == 1


def test_every_strip_has_the_same_size_and_its_threshold_counts_strips(make_bundle: MakeBundle) -> None:
    """Also of a bundle without tiles, whose view is stretched: the first strip is mirrored at its start."""
    web = np.full((400, WIDTH, 3), 20, np.uint8)
    web[:10, 40:60, 0] = 230
    with Detector.load(make_bundle().path) as detector:
        frames = list(Strips(Web(strips(web, [100] * 4)), OVERLAP))
        assert {frame.image.shape for frame in frames if isinstance(frame, Frame)} == {(132, WIDTH, 3)}
        results = run(detector, strips(web, [100] * 4))
    assert [len(result.regions) for result in results] == [1, 0, 0, 0]
    region = results[0].regions[0]
    assert (region.web_y, region.y) == (pytest.approx(0, abs=2), pytest.approx(32, abs=2))


def test_a_run_states_positions_along_the_web(
    tmp_path: Path, make_bundle: MakeBundle, dmdd_edge: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    make_bundle(preprocess=tiled())
    web = np.full((300, WIDTH, 3), 20, np.uint8)
    web[196:212, 30:50, 0] = 230
    (tmp_path / "web").mkdir()
    for frame in strips(web, [100] * 3):
        cv2.imwrite(str(tmp_path / "web" / f"{frame.index}.png"), frame.image)
    options = (
        "--strip",
        OVERLAP,
        "--mm-per-px",
        0.5,
        "--save-maps",
        "maps",
        "--save",
        "out",
        "--jsonl",
        "r.jsonl",
    )
    done = dmdd_edge("run", "web", *options)
    assert done.returncode == 0, done.stderr
    assert "without gaps" in done.stderr
    lines = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line.get("strip") for line in lines[:3]] == [
        {"web_y": 0, "rows": 84, "overlap": 32, "web_mm": 0.0},
        {"web_y": 84, "rows": 100, "overlap": 32, "web_mm": 42.0},
        {"web_y": 184, "rows": 116, "overlap": 32, "web_mm": 92.0},
    ]
    assert [region["web_y"] for line in lines[:3] for region in line["regions"]] == [196]
    assert lines[2]["regions"][0]["web_mm"] == 98.0
    assert lines[3]["gaps"] == 0
    assert len(list((tmp_path / "maps").iterdir())) == len(list((tmp_path / "out").iterdir())) == 3
    # Resumed after the first strip, the others are the same: they need its last rows.
    (tmp_path / "r.jsonl").write_text(json.dumps(lines[0]) + "\n")
    again = dmdd_edge("run", "web", *options, "--resume")
    assert again.returncode == 0, again.stderr
    resumed = [json.loads(line) for line in (tmp_path / "r.jsonl").read_text().splitlines()]
    assert [line["regions"] for line in resumed[:3]] == [line["regions"] for line in lines[:3]]


def test_strips_have_no_place_to_compare_good_parts_at(make_bundle: MakeBundle, tmp_path: Path) -> None:
    levels = PlaceLevels.of(np.zeros((1, 8, 12), np.uint8), (64, 96))
    bundle = make_bundle(preprocess=Preprocess(tiling=Tiling(tile=64, overlap=16, levels=levels)))
    with pytest.raises(OptionError, match="strips of a web have no such place"):
        Detector.load(bundle.path, "cpu", strip=OVERLAP)
    cv2.imwrite(str(tmp_path / "0.png"), np.zeros((64, 96, 3), np.uint8))
    with pytest.raises(OptionError, match="Train with --score map"):
        calibrate(CalibrateOptions(source=str(tmp_path), model=bundle.path, strip=OVERLAP))
    with Detector.load(bundle.path, "cpu") as detector:
        assert detector(np.zeros((64, 96, 3), np.uint8)).anomaly_map.shape == (64, 96)


def test_options_that_leave_strips_out_are_refused() -> None:
    for options in ({"every": 2}, {"fps": 5.0}):
        with pytest.raises(OptionError, match="leaves strips out"):
            SourceOptions(strip=32, **options)  # type: ignore[arg-type]
