"""A list of images judged by a detector: one entry each, in order, also of those that cannot be read."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.judging import Judged, judge_images
from dmdd_edge.runtime.result import Result


@pytest.fixture
def detector(make_bundle: Callable[..., Bundle]) -> Detector:
    return Detector.load(make_bundle().path, "cpu")


def test_each_path_has_its_entry_in_order(detector: Detector, images: Path) -> None:
    torn = images / "torn.png"
    torn.write_bytes(b"\x89PNG\r\n\x1a\n torn")
    paths = [
        images / "bad/1.png",
        torn,
        images / "good/0.png",
        images / "gone.png",
        images / "bad/0.png",
        images / "bad/1.png",
    ]
    with detector:
        judged = judge_images(detector, paths)
    assert [item.path for item in judged] == paths
    scores = [item.result and item.result.score for item in judged]
    # The score of this graph is the bluest pixel / 255; shrinking by areas keeps the middle of the patch.
    assert scores == [1.0, None, pytest.approx(30 / 255), None, pytest.approx(0.8), 1.0]
    assert [item.error is None for item in judged] == [True, False, True, False, True, True]
    assert "gone.png" in str(judged[3].error)


def test_maps_reach_the_callback_and_are_not_kept(detector: Detector, images: Path) -> None:
    seen: list[tuple[str, float | None]] = []

    def note(judged: Judged, result: Result | None) -> None:
        seen.append((judged.path.name, None if result is None else float(result.anomaly_map.max())))

    with detector:
        judged = judge_images(detector, [images / "bad/0.png", images / "gone.png"], note)
    assert sorted(seen, key=str) == [("0.png", pytest.approx(0.8)), ("gone.png", None)]
    assert judged[0].result is not None
    assert judged[0].result.anomaly_map.size == 0
    assert judged[0].result.regions


def test_no_image_is_no_entry(detector: Detector) -> None:
    with detector:
        assert judge_images(detector, []) == []
