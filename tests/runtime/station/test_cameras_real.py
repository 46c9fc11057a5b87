"""A station's camera on what can be had without hardware: a simulated GigE camera, a server of images."""

from __future__ import annotations

import threading
import time

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import SourceOptions
from dmdd_edge.runtime.sources.live_device import Paced
from dmdd_edge.runtime.station.camera_devices import camera_device
from dmdd_edge.runtime.station.cameras import Camera
from dmdd_edge.runtime.station.model import TriggerMode
from dmdd_edge.runtime.station.settings import CameraSettings
from tests.runtime.sources.camera_server import CameraServer
from tests.runtime.sources.genicam.cameras import needs_viva, viva_camera
from tests.runtime.station.shutter import Parts

VIVA = SourceOptions(genicam_driver="viva")


def viva(trigger: TriggerMode) -> Camera:
    return Camera(
        CameraSettings(name="top", source="genicam://", trigger=trigger, timeout_ms=60_000, options=VIVA)
    )


@needs_viva
def test_a_gige_camera_is_fired_once_per_trigger() -> None:
    with viva_camera() as fake:
        camera = viva("software")
        camera.start()
        frames = [camera.request(time.perf_counter()).wait(60) for _ in range(30)]
        state = camera.state()
        camera.stop()
        assert fake.software_triggers() == 30
    numbers = [frame.frame_id for frame in frames if isinstance(frame, Frame)]
    assert len(numbers) == 30
    first = numbers[0]
    assert first is not None
    assert numbers == list(range(first, first + 30))
    assert (state.frames, state.dropped, state.triggered) == (30, 0, True)


@needs_viva
def test_a_gige_camera_that_is_triggered_elsewhere_begins_the_parts() -> None:
    with viva_camera() as fake:
        parts = Parts()
        camera = Camera(
            CameraSettings(
                name="top", source="genicam://?TriggerSource=Software", trigger="camera", options=VIVA
            )
        )
        camera.lead(parts.arrived)
        camera.watch(parts.lost)
        camera.start()
        for number in range(1, 6):
            camera._device.fire()  # type: ignore[attr-defined]
            parts.wait_for_requests(number)
        frames = [request.wait(0) for request in parts.requests]
        camera.stop()
        assert fake.software_triggers() == 5
    assert all(isinstance(frame, Frame) for frame in frames)
    assert parts.times == sorted(parts.times)
    assert parts.missed == []


def test_a_server_of_images_may_be_off_when_the_station_is_set_up() -> None:
    server = CameraServer()
    url, port = server.url("/snap.jpg"), int(server.url("/snap.jpg").split(":")[2].split("/")[0])
    server.close()
    camera = Camera(CameraSettings(name="top", source=url))
    with pytest.raises(DmddError, match="refused the connection"):
        camera.start()
    server = CameraServer(port)
    try:
        camera.start()
        assert isinstance(camera.request(time.perf_counter()).wait(60), Frame)
    finally:
        camera.stop()
        server.close()


def test_single_images_are_paced_by_their_requests_alone() -> None:
    server = CameraServer()
    try:
        for path, paced in (("/snap.jpg", True), ("/row", False)):
            settings = CameraSettings(name="top", source=server.url(path), trigger="free")
            device = camera_device(settings)
            assert not isinstance(device, Paced), "nobody knows yet"
            device.open(threading.Event())
            assert isinstance(device, Paced) == paced
            device.close()
    finally:
        server.close()
