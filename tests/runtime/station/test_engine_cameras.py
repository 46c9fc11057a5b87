"""A station with its own cameras: from the frame of a device to the verdict."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.sources import grabber
from dmdd_edge.runtime.station.cameras import Camera
from dmdd_edge.runtime.station.model import ErrorCode, PartResult, TriggerMode
from dmdd_edge.runtime.station.settings import CameraSettings, StationSettings
from tests.runtime.sources.scripted import LOST
from tests.runtime.station.constant_bundles import station_settings
from tests.runtime.station.running import running, wait_until
from tests.runtime.station.shutter import Shutter

Make = Callable[..., Bundle]


@pytest.fixture
def plain(make_bundle: Make, tmp_path: Path) -> StationSettings:
    """One camera, one inspection, one recipe; the score is the blue of the image / 255."""
    make_bundle("screw")
    return station_settings(tmp_path, {"head": "screw"}, {1: ["head"]})


def camera(name: str, trigger: TriggerMode, source: str = "fake") -> CameraSettings:
    return CameraSettings(name=name, source=source, trigger=trigger, timeout_ms=60_000)


def levels(part: PartResult) -> list[int | ErrorCode]:
    """Of each inspection, the level of its image, or why it has none."""
    return [each.code if each.result is None else round(255 * each.result.score) for each in part.inspections]


def test_images_of_two_triggered_cameras_stay_together_after_one_was_lost(plain: StationSettings) -> None:
    settings = {name: camera(name, "camera") for name in ("top", "side")}
    foot = replace(plain.inspections["head"], name="foot", camera="side")
    station_file = replace(
        plain,
        cameras=settings,
        inspections={**plain.inspections, "foot": foot},
        recipes=(replace(plain.recipes[0], inspections=("head", "foot")),),
    )
    top, side, now = Shutter(), Shutter(), time.perf_counter()
    # The second camera is always 5 ms later. Levels tell the parts apart: 10 + n and 110 + n.
    for number in range(30):
        top.times[10 + number], side.times[110 + number] = now + 0.2 * number, now + 0.2 * number + 0.005
    cameras: dict[str, Any] = {"top": Camera(settings["top"], top), "side": Camera(settings["side"], side)}
    with running(station_file, cameras) as station:
        for number in range(30):
            station.ready()
            top.give(10 + number)
            if number != 12:
                side.give(110 + number)
        parts = list(station.verdicts(30))
        misses = list(station.notes.misses)
    expected: list[list[int | ErrorCode]] = [[10 + number, 110 + number] for number in range(30)]
    expected[12][1] = ErrorCode.NO_FRAME
    assert [levels(part) for part in parts] == expected
    assert [part.trigger.origin for part in parts] == ["camera"] * 30
    assert [part.trigger.acquisition_id for part in parts] == list(range(1, 31))
    assert (parts[12].status, parts[12].passed, parts[12].code) == ("unreliable", False, ErrorCode.NO_FRAME)
    assert parts[13].passed
    assert misses == []


def test_a_fired_camera_gives_each_part_its_own_image(plain: StationSettings) -> None:
    device = Shutter()
    device.answer = lambda: device.put(device.shots % 100)
    settings = {"top": camera("top", "software")}
    cameras: dict[str, Any] = {"top": Camera(settings["top"], device)}
    with running(replace(plain, cameras=settings), cameras) as station:
        station.trigger(200)
        parts = list(station.verdicts(200))
    assert [levels(part) for part in parts] == [[number % 100] for number in range(1, 201)]
    assert device.shots == 200


def test_a_camera_that_is_lost_and_back(plain: StationSettings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(grabber, "BACK_OFF", (0.001, 0.01))
    device = Shutter()
    device.answer = lambda: device.put(7)
    settings = {"top": camera("top", "software")}
    cameras: dict[str, Any] = {"top": Camera(settings["top"], device)}
    with running(replace(plain, cameras=settings), cameras) as station:
        station.trigger(3)
        station.verdicts(3)
        device.answer = lambda: device.put(LOST)
        station.trigger()
        (lost,) = station.verdicts(4)[3:]
        assert (levels(lost), lost.passed) == ([ErrorCode.CAMERA_LOST], False)
        wait_until(lambda: cameras["top"].state().connected)
        device.answer = lambda: device.put(7)
        station.trigger(3)
        parts = station.verdicts(7)
        assert [part.passed for part in parts] == [True] * 3 + [False] + [True] * 3


def test_a_free_camera_makes_each_inspected_image_a_part(plain: StationSettings, tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    for name, level in (("a.png", 10), ("b.png", 20)):
        cv2.imwrite(str(tmp_path / "parts" / name), np.full((64, 64, 3), level, np.uint8))
    settings = {"top": camera("top", "free", f"images:{tmp_path / 'parts'}?fps=100")}
    cameras: dict[str, Any] = {"top": Camera(settings["top"])}
    with running(replace(plain, cameras=settings), cameras) as station:
        parts = list(station.verdicts(20))
    assert {part.trigger.origin for part in parts} == {"free"}
    assert [part.trigger.acquisition_id for part in parts[:20]] == list(range(1, 21))
    assert {level for part in parts for level in levels(part)} == {10, 20}
    assert station.notes.misses == []
