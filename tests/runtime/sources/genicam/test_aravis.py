"""GenICam cameras through Aravis, against its simulated GigE Vision camera in another process."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from itertools import islice

import pytest

from dmdd_edge.errors import OptionError, SourceError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import open_source
from dmdd_edge.runtime.sources.genicam.device import GenicamDevice
from dmdd_edge.runtime.sources.options import SourceOptions
from tests.runtime.sources.genicam.cameras import ARAVIS_SERIAL, aravis_camera, need_aravis
from tests.runtime.sources.reading import Reader, until

ARAVIS = SourceOptions(genicam_driver="aravis")
SMALL = f"genicam://{ARAVIS_SERIAL}?Width=64&Height=48"
SOFTWARE = f"{SMALL}&TriggerMode=On&TriggerSource=Software"


@pytest.fixture(autouse=True)
def _aravis(monkeypatch: pytest.MonkeyPatch) -> None:
    need_aravis(monkeypatch)


@pytest.fixture
def _camera() -> Iterator[None]:
    with aravis_camera():
        _until_found()
        yield


def _until_found() -> None:
    driver = GenicamDevice("genicam://", ARAVIS).driver
    until(lambda: any(found.serial == ARAVIS_SERIAL for found in driver.find()))


@pytest.mark.usefixtures("_camera")
def test_each_software_trigger_gives_one_frame_with_number_and_time() -> None:
    device = GenicamDevice(f"{SOFTWARE}&PixelFormat=RGB8", ARAVIS)
    device.open(threading.Event())
    assert device.armed
    stamps = []
    for _ in range(10):
        device.fire()
        device.grab(threading.Event())
        image = device.retrieve()
        assert image.shape == (48, 64, 3)
        assert image.min() < image.max()
        stamps.append(device.stamp())
    detail = device.detail()
    device.close()
    numbers = [stamp.frame_id for stamp in stamps]
    times = [stamp.device_time_ns for stamp in stamps]
    assert numbers == list(range(numbers[0], numbers[0] + 10))
    assert times == sorted(set(times))
    assert detail.startswith("Aravis Fake by aravis 0.8")
    assert "RGB8 64 x 48, PixelFormat RGB8, Width 64, Height 48, AcquisitionMode Continuous" in detail


@pytest.mark.usefixtures("_camera")
def test_options_and_errors_are_the_same_as_with_the_other_library() -> None:
    options = SourceOptions(genicam_driver="aravis", exposure=3, camera_size=(64, 48), camera_fps=20)
    source = open_source(f"genicam://{ARAVIS_SERIAL}?PixelFormat=BayerRG8", options)
    frames = list(islice(source, 2))
    source.stop()
    assert [frame.image.shape for frame in frames if isinstance(frame, Frame)] == [(48, 64, 3)] * 2
    assert "ExposureTimeAbs 3000, AcquisitionFrameRate 20" in source.state().detail
    assert "PixelFormat=RGB8 costs it less" in source.state().detail

    for query, message in (
        ("ExposureTim=1", "has no feature ExposureTim"),
        ("ExposureTimeAbs=1e9", "does not accept ExposureTimeAbs=1e9"),
        ("DeviceModelName=x", "DeviceModelName is read-only now; its value is Fake"),
        ("AcquisitionMode=Continous", "does not accept AcquisitionMode=Continous"),
    ):
        with pytest.raises(OptionError, match=message):
            open_source(f"genicam://{ARAVIS_SERIAL}?{query}", ARAVIS)
    with pytest.raises(SourceError) as caught:
        open_source("genicam://GV02", ARAVIS)
    assert "genicam://GV01 (Aravis Fake, 127.0.0.1)" in caught.value.fix


def test_lost_packets_make_broken_frames() -> None:
    with aravis_camera("-r", "300"):  # of 1000 packets
        _until_found()
        source = open_source(f"genicam://{ARAVIS_SERIAL}?Width=512&Height=512&GevSCPSPacketSize=1400", ARAVIS)
        reader = Reader(source)
        reader.until(lambda: any(isinstance(frame, BrokenFrame) for frame in reader.frames))
        reader.stop()
    broken = next(frame for frame in reader.frames if isinstance(frame, BrokenFrame))
    assert "is incomplete" in broken.error.message or "never arrived" in broken.error.message


@pytest.mark.slow
def test_a_camera_that_was_gone_is_set_up_anew() -> None:
    with aravis_camera() as process:
        _until_found()
        source = open_source(f"{SMALL}&ExposureTimeAbs=1234", ARAVIS)
        reader = Reader(source)
        reader.wait_for(1)
        process.kill()
        process.wait()
        until(lambda: not source.state().connected)
    with aravis_camera():
        until(lambda: source.state().reconnects == 1 and source.state().connected)
        count = len(reader.frames)
        reader.wait_for(count + 1)
        detail = source.state().detail
        reader.stop()
    assert "ExposureTimeAbs 1234" in detail
