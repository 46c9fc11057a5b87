"""The hint on the first frames: given once, with the cause, and not where most frames are good."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.calibration import effective_threshold, write_calibration
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.look import ImageLook, Look, look_at, look_of
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.hints import FEWEST, FRAMES, FirstFrames, hint_for
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.sources import open_source

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[np.uint8]]


def textured(level: int, seed: int = 0) -> NDArray[np.uint8]:
    noise = np.random.default_rng(seed).normal(level, 6, (96, 96, 1))
    return np.clip(np.repeat(noise, 3, axis=2), 0, 255).astype(np.uint8)


def seen(level: int, count: int = 6) -> list[ImageLook]:
    return [look_at(textured(level, seed), Preprocess()) for seed in range(count)]


@pytest.fixture
def look() -> Look:
    return look_of(seen(100, 10), [".png"] * 10)


def test_a_dark_line_is_told_apart_from_a_threshold_of_few_images(make_bundle: Make, look: Look) -> None:
    bundle = make_bundle(look=look)
    assert bundle.manifest.look == look  # through the file and back
    threshold = effective_threshold(bundle)
    dark = hint_for(bundle, threshold, seen(40), 5)
    assert (dark.cause, dark.frames, dark.anomalous) == ("light", 6, 5)
    assert "5 of the first 6 frames" in dark.message
    assert "darker (mean level 40 of 255, in training " in dark.message
    chosen = f"--category screw --models-dir {bundle.path.parent.parent}"
    assert f"dmdd-edge calibrate {chosen} --source GOOD_PARTS" in dark.fix
    same = hint_for(bundle, threshold, seen(100), 6)
    assert same.cause == "threshold"
    assert "look like the training images" in same.message
    assert "too few good images: 2, and a false-alarm rate of 1 % needs 99" in same.message
    given = hint_for(bundle, effective_threshold(bundle, image=0.01), seen(100), 6)
    assert "The threshold 0.0100 was set for this run" in given.message


def test_a_version_that_is_not_in_use_is_named_by_its_folder(make_bundle: Make, look: Look) -> None:
    earlier = make_bundle(look=look)
    make_bundle(look=look)
    fix = hint_for(earlier, effective_threshold(earlier), seen(100), 6).fix
    assert f"dmdd-edge calibrate --model {earlier.path} --source GOOD_PARTS" in fix


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        (20, "too few good images: 20, and a false-alarm rate of 1 % needs 99"),
        (99, "they differ from the 99 good images of the threshold"),
    ],
)
def test_after_a_calibration_its_own_images_are_counted(
    make_bundle: Make, look: Look, parts: int, words: str
) -> None:
    bundle = make_bundle(look=look)  # exported with a threshold from 2 good images
    write_calibration(bundle, threshold_from_normals(np.linspace(0.1, 0.2, parts), 0.01), "parts")
    assert words in hint_for(bundle, effective_threshold(bundle), seen(100), 6).message


def test_a_bundle_of_an_earlier_release_says_that_it_does_not_know(make_bundle: Make) -> None:
    bundle = make_bundle()
    hint = hint_for(bundle, effective_threshold(bundle), seen(40), 6)
    assert hint.cause == "unknown"
    assert "does not say what they looked like" in hint.message


@pytest.mark.parametrize(
    ("anomalous", "frames", "expected", "hints"),
    [
        (11, FRAMES + 5, None, 1),
        (10, FRAMES + 5, None, 0),  # half is not most
        (FEWEST, FEWEST, FEWEST, 1),
        (FEWEST - 1, FEWEST - 1, FEWEST - 1, 0),
        (10, 10, None, 0),  # more may come
    ],
)
def test_the_hint_is_given_once_on_the_first_frames(
    anomalous: int, frames: int, expected: int | None, hints: int, make_bundle: Make, look: Look, images: Path
) -> None:
    said: list[str] = []
    with Detector.load(make_bundle(look=look).path, backend="cpu", threshold=0.2) as detector:
        control = RunControl(detector, open_source(str(images)))
        sink = FirstFrames(control, expected, said.append)
        for index in range(frames):
            image = textured(100 if index < anomalous else 20, index)  # the score is the brightest pixel
            sink.result(Frame(image), detector(image))
    assert len(control.statistics.summary().hints) == hints
    assert len(said) == 2 * hints


def test_the_summary_holds_the_hint(
    make_bundle: Make, look: Look, tmp_path: Path, dmdd_edge: Callable[..., subprocess.CompletedProcess[str]]
) -> None:
    make_bundle(look=look)
    (tmp_path / "line").mkdir()
    for index in range(6):
        cv2.imwrite(str(tmp_path / "line" / f"{index}.png"), textured(200, index))
    done = dmdd_edge("run", "--source", "line", "--json", "--backend", "cpu")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout.splitlines()[-1])
    (hint,) = summary["hints"]
    assert (hint["cause"], hint["frames"], hint["anomalous"]) == ("light", 6, 6)
    assert done.stderr.count("hint: 6 of the first 6 frames") == 1


def test_what_a_crop_leaves_out_is_named_once(make_bundle: Make, images: Path) -> None:
    said: list[str] = []
    with Detector.load(make_bundle(preprocess=Preprocess(fit="crop")).path) as detector:
        source = open_source(str(images))
        run_frames(detector, source, [FirstFrames(RunControl(detector, source), None, said.append)])
    # Half of a frame of 256 x 128.
    assert [line for line in said if "not inspected" in line] == [
        "warning: 50.0% of the area of a frame of 256 x 128 pixels is not inspected: the category was "
        "trained with --fit crop."
    ]
