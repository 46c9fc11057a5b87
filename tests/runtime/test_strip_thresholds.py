"""A threshold keeps the rows in front of the strips that it was set from, and another run notices."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import effective_threshold, read_calibration, write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.bundle.threshold_remarks import other_strips
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.bench.images import choose_images
from dmdd_edge.runtime.calibrate import calibrate
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.options.bench import BenchOptions
from dmdd_edge.runtime.options.calibrate import CalibrateOptions

MakeBundle = Callable[..., Bundle]


@pytest.mark.parametrize(
    ("made", "now", "said"),
    [
        (None, None, ""),
        (32, 32, ""),
        (None, 32, "the threshold is of whole images"),
        (32, None, "calibrated from strips (--strip 32)"),
        (32, 64, "calibrated with --strip 32, and not 64"),
    ],
)
def test_a_threshold_of_other_frames_is_named(
    make_bundle: MakeBundle, made: int | None, now: int | None, said: str
) -> None:
    bundle = make_bundle()
    write_calibration(bundle, threshold_from_normals([0.1, 0.2, 0.3], 0.5), "good", strip=made)
    line = other_strips(bundle, effective_threshold(bundle), now)
    assert (said in line) if said else line == ""
    assert (f"--strip {now}" in line) == bool(said and now)  # the command that mends it
    # Who gives a threshold for this run decides alone.
    assert other_strips(bundle, effective_threshold(bundle, 0.4), now) == ""
    warnings: list[str] = []
    Detector.load(bundle.path, "cpu", strip=now, say=warnings.append).close()
    assert [line for line in warnings if "strip" in line] == ([line] if line else [])


def test_without_a_calibration_the_threshold_is_of_whole_images(make_bundle: MakeBundle) -> None:
    bundle = make_bundle()
    assert "the threshold is of whole images" in other_strips(bundle, effective_threshold(bundle), 16)
    assert other_strips(bundle, effective_threshold(bundle), None) == ""


@pytest.fixture
def web(tmp_path: Path) -> Path:
    folder = tmp_path / "web"
    folder.mkdir()
    rows = np.random.default_rng(0).integers(20, 60, (300, 96, 3), dtype=np.uint8)
    for index in range(3):
        cv2.imwrite(str(folder / f"{index}.png"), rows[100 * index : 100 * index + 100])
    return folder


def test_calibrate_keeps_the_strips_and_run_compares(
    make_bundle: MakeBundle, web: Path, dmdd_edge: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    bundle = make_bundle()
    done = dmdd_edge("calibrate", "--source", web, "--strip", 32, "--yes")
    assert done.returncode == 0, done.stderr
    calibration = read_calibration(bundle)
    assert calibration is not None
    assert calibration.strip == 32
    done = dmdd_edge("run", web, "--strip", 16)
    assert "calibrated with --strip 32, and not 16" in done.stderr.replace("\n", " ")


def test_a_strip_that_owns_no_rows_is_no_good_part_of_a_calibration(
    make_bundle: MakeBundle, web: Path
) -> None:
    bundle = make_bundle()
    said: list[str] = []
    options = CalibrateOptions(model=bundle.path, source=str(web), strip=250, backend="cpu")
    outcome = calibrate(options, confirm=lambda doubts: None, say=said.append)
    # Of 3 strips of 100 rows, the second one owns rows 0 to 75 and the last one those to 300.
    assert len(outcome.scores.scores) == 2
    assert [line for line in said if "--strip 250 puts as many before each" in line]


def test_bench_measures_strips(make_bundle: MakeBundle, web: Path) -> None:
    images = choose_images(make_bundle().manifest, str(web), strip=32)
    assert {frame.shape for frame in images.frames} == {(132, 96, 3)}
    assert np.array_equal(images.frames[1][:32], images.frames[0][-32:])
    assert images.strip == 32
    assert [images.frame(index).strip.web_y for index in range(3)] == [-32, 68, 168]  # type: ignore[union-attr]
    assert images.files == ()
    assert json.loads(json.dumps(images.as_dict()))["kind"] == "strip"
    assert choose_images(make_bundle().manifest, str(web)).strip is None
    with pytest.raises(OptionError, match="--source"):
        BenchOptions(strip=32)
