"""Twelve bits in a 16-bit file: scaled as the bundle says, and named where it does not."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.quality import FrameLimits
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.summary import Summary


class Results:
    """A sink that keeps results."""

    def __init__(self) -> None:
        self.results: list[Result] = []

    def result(self, frame: Frame, result: Result) -> None:
        self.results.append(result)

    def broken(self, frame: object) -> None: ...

    def summary(self, summary: Summary) -> None: ...

    def close(self) -> None: ...


def score(bundle: Bundle, path: Path) -> Result:
    with Detector.load(bundle.path, "cpu") as detector:
        sink = Results()
        run_frames(detector, open_source(str(path)), [sink])
    return sink.results[0]


def test_the_bundle_says_how_many_bits_files_use(make_bundle: Callable[..., Bundle], tmp_path: Path) -> None:
    # The graph's score is the largest blue value / 255: 2048 of 4095 are 127.5 of 255.
    path = tmp_path / "part.png"
    assert cv2.imwrite(str(path), np.full((64, 64), 2048, np.uint16))
    limits = FrameLimits(mean_min=20, mean_max=255, saturated_max=1, black_max=1, sharpness_min=0, images=1)
    twelve = score(make_bundle(preprocess=Preprocess(bits=12), frame_limits=limits), path)
    assert round(255 * twelve.score) == 128
    assert twelve.status != "unreliable"
    sixteen = score(make_bundle(category="other", frame_limits=limits), path)
    assert round(255 * sixteen.score) == 8
    assert sixteen.status == "unreliable"
    assert "values end at 2048" in sixteen.reason
    assert "--bits 12" in sixteen.reason
