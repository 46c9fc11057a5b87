"""The page over the real loop: a bundle, a folder of images, and a threshold that is changed on the way."""

from __future__ import annotations

import json
import urllib.request
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from dmdd_edge import Detector
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.page import open_page
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.summary import Summary

TOKEN = "correct-horse"


class Operator:
    """A sink that, after the first result, sets the threshold on the page, and looks at the end."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.results: list[Result] = []
        self.seen: dict[str, Any] = {}
        self.picture = b""

    def result(self, frame: Frame, result: Result) -> None:
        self.results.append(result)
        if len(self.results) == 1:
            headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}
            body = json.dumps({"threshold": 0.9}).encode()
            request = urllib.request.Request(f"{self._url}api/threshold", body, headers)
            with urllib.request.urlopen(request, timeout=30) as answer:
                assert answer.status == 200

    def broken(self, frame: BrokenFrame) -> None:
        raise AssertionError(frame.error)

    def summary(self, summary: Summary) -> None:
        with urllib.request.urlopen(f"{self._url}api/state", timeout=30) as answer:
            self.seen = json.load(answer)
        with urllib.request.urlopen(f"{self._url}frame.jpg", timeout=30) as answer:
            self.picture = answer.read()

    def close(self) -> None:
        """Nothing is held."""


def test_the_page_of_a_real_run(
    make_bundle: Callable[..., Bundle], make_picture: Callable[..., Any], tmp_path: Path
) -> None:
    folder = tmp_path / "parts"
    folder.mkdir()
    for index in range(30):
        cv2.imwrite(str(folder / f"{index:02}.png"), make_picture(patch=204))  # a score of 0.8
    source = open_source(str(folder))
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        control = RunControl(detector, source)
        page = open_page("127.0.0.1:0", control, TOKEN)
        operator = Operator(page.url)
        summary = run_frames(detector, source, [page, operator], control=control)
    first, last = operator.results[0], operator.results[-1]
    assert (first.threshold, first.status) == (0.5, "anomalous")
    assert (last.threshold, last.status) == (0.9, "good")
    seen = operator.seen
    assert (seen["category"], seen["backend"], seen["threshold"]) == ("screw", "cpu", 0.9)
    assert seen["counts"]["frames"] == summary.frames == 30
    assert seen["counts"]["anomalous"] == summary.anomalous
    assert (seen["source"]["width"], seen["source"]["height"]) == (256, 128)
    assert seen["source"]["live"] is False
    assert seen["age_ms"] is None
    assert [point[4] for point in seen["points"]] == [result.threshold for result in operator.results]
    drawn = cv2.imdecode(np.frombuffer(operator.picture, np.uint8), cv2.IMREAD_COLOR)
    assert drawn is not None
    assert drawn.shape == (256, 512, 3)  # frames narrower than 320 pixels are enlarged by a whole number
