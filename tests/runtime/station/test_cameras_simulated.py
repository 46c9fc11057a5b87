"""Simulated cameras of a station, and sources that do not suit their trigger."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from dmdd_edge.errors import OptionError, SourceError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import SourceOptions, open_source
from dmdd_edge.runtime.sources.drawn import SERIES, DrawnPlates
from dmdd_edge.runtime.station.camera_devices import camera_device, check_armed
from dmdd_edge.runtime.station.camera_room import CameraRoom
from dmdd_edge.runtime.station.cameras import Camera, simulated, station_cameras
from dmdd_edge.runtime.station.model import TriggerMode
from dmdd_edge.runtime.station.settings import CameraSettings
from dmdd_edge.sample.plate import Plate
from dmdd_edge.sample.plate_defects import DEFECTS
from dmdd_edge.sample.write import draw
from tests.runtime.sources.conftest import level, write_video
from tests.runtime.station.running import wait_until
from tests.runtime.station.shutter import Parts, Shutter, answer


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Three gray images of levels 10, 20 and 30, and a file in between that is not an image."""
    for name, gray in (("a.png", 10), ("b.png", 20), ("d.png", 30)):
        cv2.imwrite(str(tmp_path / name), np.full((32, 48, 3), gray, np.uint8))
    (tmp_path / "c.png").write_bytes(b"not an image")
    return tmp_path


@contextmanager
def started(
    source: str, trigger: TriggerMode, parts: Parts | None = None, **options: Any
) -> Iterator[Camera]:
    camera = Camera(
        CameraSettings(name="top", source=source, trigger=trigger, options=SourceOptions(**options))
    )
    if parts is not None:
        camera.lead(parts.arrived)
        camera.watch(parts.lost)
    camera.start()
    try:
        yield camera
    finally:
        camera.stop()


@pytest.mark.parametrize("trigger", ["newest", "software"])
def test_recorded_images_come_one_per_trigger_in_a_loop(folder: Path, trigger: TriggerMode) -> None:
    with started(f"images:{folder}", trigger) as camera:
        found = []
        for _ in range(9):
            frame = camera.request(time.perf_counter()).wait(60)
            found.append(int(frame.image[0, 0, 0]) if isinstance(frame, Frame) else "broken")
        assert found == [10, 20, "broken", 30, 10, 20, "broken", 30, 10]
        assert camera.state().detail == "simulated, an image per trigger"


def test_a_recorded_video_comes_one_frame_per_trigger(tmp_path: Path) -> None:
    write_video(tmp_path / "line.avi", 3)
    with started(f"images:{tmp_path / 'line.avi'}", "software") as camera:
        frames = [camera.request(time.perf_counter()).wait(60) for _ in range(5)]
        assert [level(frame.image) for frame in frames if isinstance(frame, Frame)] == [0, 1, 2, 0, 1]


def test_a_simulated_hardware_trigger_begins_a_part_per_press(folder: Path) -> None:
    parts = Parts()
    with started(f"images:{folder}", "camera", parts) as camera:
        for _ in range(5):
            camera.fire()
        parts.wait_for_requests(5)
        found = [request.wait(0) for request in parts.requests]
        levels = [int(frame.image[0, 0, 0]) if isinstance(frame, Frame) else "broken" for frame in found]
        assert levels == [10, 20, "broken", 30, 10]
    assert parts.missed == []


def test_a_simulated_hardware_trigger_can_come_at_a_rate(folder: Path) -> None:
    parts = Parts()
    with started(f"images:{folder}/a.png?fps=200", "camera", parts):
        parts.wait_for_requests(4)
    assert [answer(request) for request in parts.requests[:4]] == [10] * 4


def test_every_camera_of_a_station_can_be_simulated_in_its_own_mode(folder: Path) -> None:
    real = {
        "top": CameraSettings(name="top", source="genicam://7?Gain=3", trigger="software", timeout_ms=60_000),
        "side": CameraSettings(
            name="side",
            source="0",
            trigger="newest",
            timeout_ms=60_000,
            options=SourceOptions(camera_size=(640, 480)),
        ),
        "end": CameraSettings(name="end", source="genicam://8", trigger="camera", queue=3),
    }
    lines: list[str] = []
    shown = {name: simulated(each, f"{folder}/a.png") for name, each in real.items()}
    assert shown["top"].timeout_ms == 60_000
    cameras = station_cameras(shown, lines.append)
    parts = Parts()
    cameras["end"].lead(parts.arrived)
    for camera in cameras.values():
        camera.start()
    requests = [cameras[name].request(time.perf_counter()) for name in ("top", "side")]
    cameras["end"].fire()
    parts.wait_for_requests(1)
    assert [answer(request) for request in (*requests, *parts.requests)] == [10, 10, 10]
    for camera in cameras.values():
        camera.stop()
    assert len(lines) == 3


def test_only_a_simulated_camera_has_a_trigger_to_press() -> None:
    camera = Camera(CameraSettings(name="top", source="fake", trigger="camera"), Shutter())
    with pytest.raises(OptionError, match="Camera top is not simulated"):
        camera.fire()


def test_drawn_plates_are_those_of_the_sample(folder: Path) -> None:
    with started("drawn:plate?size=64&bad=0.25&seed=3", "newest") as camera:
        frames = [camera.request(time.perf_counter()).wait(60) for _ in range(SERIES + 1)]
    plate = Plate(64)
    good, _ = draw(plate, 3, "test", 0)
    bad, _ = draw(plate, 3, "test", 3, next(iter(DEFECTS)))
    images = [frame.image for frame in frames if isinstance(frame, Frame)]
    assert np.array_equal(images[0], good)
    assert np.array_equal(images[3], bad)
    assert np.array_equal(images[SERIES], good), "the series starts again"


@pytest.mark.parametrize(("bad", "count"), [(0.0, 0), (0.2, 4), (0.25, 5), (0.5, 10), (1.0, 20)])
def test_the_share_of_defective_plates_is_exact(bad: float, count: int) -> None:
    plates = DrawnPlates("drawn:", bad, 64, 0)
    defects = [plates.defect(index) for index in range(SERIES)]
    assert sum(defect is not None for defect in defects) == count
    kinds = [defect for defect in defects if defect is not None]
    assert kinds[:5] == list(DEFECTS)[: len(kinds[:5])]


def test_a_camera_that_still_draws_ends_at_the_next_plate(monkeypatch: pytest.MonkeyPatch) -> None:
    camera = Camera(CameraSettings(name="top", source="drawn:?size=64", options=SourceOptions()))
    said: list[str] = []
    room = CameraRoom({"top": camera}, said.append)
    drawn: list[int] = []
    drawing, go_on = threading.Event(), threading.Event()

    def slow(plate: Plate, seed: int, split: str, index: int, defect: str | None) -> Any:
        drawn.append(index)
        drawing.set()
        assert go_on.wait(60)
        return draw(plate, seed, split, index, defect)

    monkeypatch.setattr("dmdd_edge.runtime.sources.drawn.draw", slow)
    room.start()
    assert drawing.wait(60)
    ended = threading.Thread(target=room.stop)
    ended.start()
    assert ended.is_alive()  # it waits for the plate that is being drawn
    wait_until(lambda: camera._grabber.stopped)
    go_on.set()
    ended.join(60)
    assert drawn == [0]
    assert "dmdd-open top" not in {thread.name for thread in threading.enumerate()}
    assert said == []


def test_a_large_plate_is_drawn_smaller_and_enlarged(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.sources.drawn.SERIES", 1)
    large, small = (next(DrawnPlates("drawn:", 0, side, 0).images(threading.Event())) for side in (1024, 512))
    assert isinstance(large, np.ndarray)
    assert isinstance(small, np.ndarray)
    assert large.shape == (1024, 1024, 3)
    halved = large.reshape(512, 2, 512, 2, 3).mean((1, 3))
    assert np.abs(halved - small).mean() < 8


def test_a_simulated_camera_is_a_source_of_a_run_too(folder: Path) -> None:
    source = open_source(f"images:{folder}/b.png?fps=500")
    frames = iter(source)
    first = next(frames)
    assert isinstance(first, Frame)
    assert int(first.image[0, 0, 0]) == 20
    assert source.live
    source.stop()


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("images:", "names no folder"),
        ("images:nowhere", "nowhere does not exist"),
        ("images:x?fps=0", "fps must be a number above 0"),
        ("images:x?speed=3", "unknown parameter 'speed'"),
        ("drawn:cups", "only plates are drawn"),
        ("drawn:?bad=2", "bad must be at most 1"),
        ("drawn:?size=8", "size 64 to 2048"),
        ("drawn:?seed=x", "seed must be a number of 0 or more"),
    ],
)
def test_a_simulated_camera_that_cannot_be_had(source: str, message: str) -> None:
    with pytest.raises(SourceError, match=message.replace("?", r"\?")), started(source, "newest"):
        pass


@pytest.mark.parametrize("source", ["", "/*.png", "/a.png"])
def test_files_are_a_simulated_camera(folder: Path, source: str) -> None:
    lines: list[str] = []
    camera = Camera(
        CameraSettings(name="top", source=f"{folder}{source}", timeout_ms=60_000), say=lines.append
    )
    camera.start()
    frames = [camera.request(time.perf_counter()).wait(60) for _ in range(2)]
    camera.stop()
    second = 10 if source == "/a.png" else 20
    assert [int(frame.image[0, 0, 0]) for frame in frames if isinstance(frame, Frame)] == [10, second]
    assert lines == [f"Camera top is simulated by images:{folder}{source}."]


@pytest.mark.parametrize(
    ("source", "trigger", "message"),
    [
        ("/dev/video0", "software", "/dev/video0 cannot be triggered by software"),
        ("rtsp://host/1", "software", "rtsp://host/1 cannot be triggered by software"),
        ("rtsp://host/1", "camera", "rtsp://host/1 has no trigger input"),
        ("csi://0", "camera", "csi://0 has no trigger input"),
    ],
)
def test_a_trigger_that_does_not_suit_the_camera(source: str, trigger: TriggerMode, message: str) -> None:
    with pytest.raises(OptionError, match=f"Camera top: {message}.*\nSet trigger = .newest."):
        Camera(CameraSettings(name="top", source=source, trigger=trigger))


@pytest.mark.parametrize("options", [{"every": 2}, {"fps": 5.0}])
def test_frames_of_parts_are_not_thinned(options: dict[str, Any], folder: Path) -> None:
    with (
        pytest.raises(OptionError, match="would skip frames of parts"),
        started(f"images:{folder}", "software", **options),
    ):
        pass


@pytest.mark.parametrize(
    ("trigger", "armed", "message"),
    [
        ("camera", False, "does not wait for triggers"),
        ("software", False, "does not wait for triggers"),
        ("newest", True, "waits for triggers"),
        ("free", True, "waits for triggers"),
    ],
)
def test_a_camera_that_is_set_differently_from_the_file(
    trigger: TriggerMode, armed: bool, message: str
) -> None:
    device = Shutter(armed)
    camera = Camera(CameraSettings(name="top", source="fake", trigger=trigger), device)
    with pytest.raises(OptionError, match=f"Camera top: scripted camera {message}"):
        camera.start()
    assert device.closed == 1
    check_armed(CameraSettings(name="top", source="fake", trigger=trigger), Shutter(not armed))


@pytest.mark.parametrize(
    ("source", "trigger", "address"),
    [
        ("genicam://7", "software", "genicam://7?TriggerMode=On&TriggerSource=Software"),
        ("genicam://7?Gain=3", "camera", "genicam://7?Gain=3&TriggerMode=On"),
        ("genicam://7?TriggerMode=Off", "camera", "genicam://7?TriggerMode=Off"),
        ("genicam://7?Gain=3", "newest", "genicam://7?Gain=3"),
    ],
)
def test_a_genicam_camera_gets_the_trigger_settings_of_its_mode(
    source: str, trigger: TriggerMode, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[str] = []

    def device(source: str, options: SourceOptions) -> Shutter:
        opened.append(source)
        return Shutter()

    monkeypatch.setattr("dmdd_edge.runtime.station.camera_devices.make_device", device)
    camera_device(CameraSettings(name="top", source=source, trigger=trigger))
    assert opened == [address]
