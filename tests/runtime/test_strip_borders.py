"""Strips of a web: no row and no defect is lost where one strip ends and the next one begins."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.sinks.json_lines import check_same_strips
from dmdd_edge.runtime.sources.strips import Strips
from dmdd_edge.runtime.strips import Border, Strip, keep_own
from tests.runtime.test_strips import OVERLAP, WIDTH, Web, run, strips, tiled

MakeBundle = Callable[..., Bundle]


def web_of(rows: int = 200, level: int = 20) -> np.ndarray[tuple[int, ...], np.dtype[np.uint8]]:
    return np.full((rows, WIDTH, 3), level, np.uint8)


@pytest.mark.parametrize("rotate", [0, 90, 180, 270])
def test_a_spot_inside_of_a_ring_is_found_where_the_ring_belongs_to_the_other_strip(
    make_bundle: MakeBundle, rotate: int
) -> None:
    with Detector.load(make_bundle(preprocess=tiled(rotate)).path) as detector:
        for y in range(60, 72, 2):
            web = web_of()
            web[y : y + 32, 20:60, 0] = 230
            web[y + 2 : y + 30, 22:58, 0] = 20
            web[y + 14 : y + 28, 34:46, 0] = 230
            results = run(detector, strips(web, [100, 100]))
            areas = [region.area for result in results for region in result.regions]
            assert sorted(areas) == [14 * 12, 32 * 40 - 28 * 36], y


@pytest.mark.parametrize("rotate", [0, 90])
def test_a_faint_defect_on_a_border_is_judged_as_a_whole_by_one_strip(
    make_bundle: MakeBundle, rotate: int
) -> None:
    """12 of its 100 pixels are above the threshold: the mean of all of them is 0.504, of fewer below 0.5."""
    with Detector.load(make_bundle(preprocess=tiled(rotate)).path) as detector:
        for y in range(60, 100, 3):
            web = web_of(level=0)
            web[y : y + 10, 30:40, 0] = 126
            web[y + 4 : y + 6, 32:38, 0] = 146
            statuses = sorted(result.status for result in run(detector, strips(web, [100, 100])))
            assert statuses == ["anomalous", "good"], y


@pytest.mark.parametrize(
    ("preprocess", "judged"),
    [
        (tiled(roi=(0, 0, WIDTH, 100)), False),
        (tiled(90, roi=(0, 0, WIDTH, 100)), False),
        (tiled(roi=(10, 40, 60, 92)), False),
        (Preprocess(fit="crop"), False),
        (tiled(roi=(10, 0, 60, 132)), True),
        (tiled(roi=(10, 16, 60, 116)), True),
        (Preprocess(fit="pad"), True),
    ],
)
def test_rows_that_no_strip_inspects_leave_no_strip_good(
    make_bundle: MakeBundle, preprocess: Preprocess, judged: bool
) -> None:
    with Detector.load(make_bundle(preprocess=preprocess).path) as detector:
        results = run(detector, strips(web_of(400), [100] * 4))
    statuses = {result.status for result in results}
    assert statuses == {"good"} if judged else "unreliable" in statuses
    assert judged or "no strip inspects" in next(r.reason for r in results if r.status == "unreliable")


def test_a_region_that_was_left_and_moves_a_pixel_is_not_lost() -> None:
    """The first strip leaves a line at its middle to the second, whose map has it one pixel higher."""
    border = Border()
    upper = Strip(0, OVERLAP, 0, 0, 100 - OVERLAP // 2, lower=border)
    lower = Strip(100 - OVERLAP, OVERLAP, 0, OVERLAP // 2, 132, upper=border)
    kept = []
    for strip, rows, row in ((upper, 100, 84), (lower, 132, 15)):
        anomaly_map = np.zeros((rows, WIDTH), np.float32)
        anomaly_map[row, 20:30] = 0.9
        kept.append(bool(keep_own(anomaly_map, tiled().geometry((rows, WIDTH), 64), strip, 0.5)[0].any()))
    assert kept == [False, True]


def test_a_map_of_noise_takes_no_time_per_pair_of_regions() -> None:
    """Some 40,000 regions of two strips: compared one by one they take minutes."""
    rng = np.random.default_rng(0)
    border = Border()
    upper = Strip(0, 256, 0, 0, 600 - 128, lower=border)
    lower = Strip(600 - 256, 256, 0, 128, 600, upper=border)
    begin = time.perf_counter()
    for strip in (upper, lower):
        noise = (rng.random((600, 1024)) > 0.85).astype(np.float32)
        keep_own(noise, tiled().geometry(noise.shape, 64), strip, 0.5)
    assert time.perf_counter() - begin < 10


def test_the_score_of_the_whole_frame_counts_in_strips(make_bundle: MakeBundle) -> None:
    """The score of the coarse input is its largest value, which the gain raises from 0.2 to 0.9."""
    tiling = Tiling(tile=64, overlap=16, coarse=True, coarse_gain=1e-3, coarse_score_gain=36.0)
    with Detector.load(make_bundle(preprocess=Preprocess(tiling=tiling)).path) as detector:
        results = run(detector, strips(web_of(300, 51), [100] * 3))
    assert [result.status for result in results] == ["anomalous"] * 3
    assert [result.score for result in results] == pytest.approx([0.9] * 3, abs=1e-3)


def test_results_of_strips_are_not_continued_with_another_overlap(
    make_bundle: MakeBundle, tmp_path: Path
) -> None:
    """Strips of 64 rows end 32 rows before the frame, where those of 32 rows begin 16 rows before it."""
    path = tmp_path / "r.jsonl"
    path.write_text("")
    check_same_strips(path, 32)
    with Detector.load(make_bundle(preprocess=tiled()).path) as detector:
        first = run(detector, strips(web_of(), [100, 100]))[0]
        path.write_text(json.dumps(first.to_json()) + '\n{"type": "result", "torn')
        check_same_strips(path, OVERLAP)
        for other in (64, None):
            with pytest.raises(OptionError, match="of --strip 32"):
                check_same_strips(path, other)
        path.write_text(json.dumps(detector(web_of()).to_json()) + "\n")
        check_same_strips(path, None)
        with pytest.raises(OptionError, match="without --strip"):
            check_same_strips(path, 32)


def test_the_last_strip_of_a_limit_owns_its_last_rows(make_bundle: MakeBundle) -> None:
    web = web_of(300)
    web[186:198, 30:42, 0] = 230  # the center is in the half of the shared rows that a third strip would own
    with Detector.load(make_bundle(preprocess=tiled()).path) as detector:
        source = Strips(Web(strips(web, [100] * 3)), OVERLAP)
        results = list(detector.stream(source, limit=2))
    assert [result.status for result in results] == ["good", "anomalous"]
    assert results[-1].strip is not None
    assert results[-1].strip.web_y + results[-1].strip.end == 200
