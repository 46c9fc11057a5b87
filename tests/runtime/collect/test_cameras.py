"""Cameras of a collection: what they set by themselves is refused, and their settings are in the records."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import json
import os
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge import CollectOptions, SourceError, collect_images
from dmdd_edge.runtime.collect.collect import OpenCollection
from dmdd_edge.runtime.sources import cameras
from dmdd_edge.runtime.sources.camera_settings import v4l2_settings
from dmdd_edge.runtime.sources.genicam import device as device_module
from dmdd_edge.runtime.sources.genicam.interface import Feature, RawFrame
from tests.runtime.collect.parts import part
from tests.runtime.sources.genicam.scripted import ScriptedCamera, ScriptedDriver
from tests.runtime.sources.simulated_v4l2 import CALLS, SimulatedCamera, SimulatedCapture, SimulatedControl

AUTO_EXPOSURE, EXPOSURE = 0x009A0901, 0x009A0902
AUTO_WHITE, WHITE = 0x0098090C, 0x0098091A
AUTO_GAIN, GAIN = 0x00980912, 0x00980913
_MONO8 = 0x01080001


class PartsCapture(SimulatedCapture):
    """A camera that shows another part in each frame."""

    def retrieve(self) -> tuple[bool, NDArray[np.uint8] | None]:
        return True, part(self.frames)


def automatic_camera() -> SimulatedCamera:
    return SimulatedCamera(
        modes={"YUYV": {(640, 480): [(1, 30)]}},
        controls=[
            SimulatedControl(AUTO_WHITE, "White Balance, Automatic", 2, 0, 1, 1, 1),
            SimulatedControl(GAIN, "Gain", 1, 0, 100, 1, 50),
            SimulatedControl(
                WHITE, "White Balance Temperature", 1, 2800, 6500, 10, 4000, locked_by=(AUTO_WHITE, 0)
            ),
            SimulatedControl(
                AUTO_EXPOSURE, "Auto Exposure", 3, 0, 3, 1, 3, {1: "Manual Mode", 3: "Aperture"}
            ),
            SimulatedControl(
                EXPOSURE, "Exposure Time, Absolute", 1, 1, 5000, 1, 157, locked_by=(AUTO_EXPOSURE, 1)
            ),
        ],
    )


@pytest.fixture
def video0(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    device, simulated = tmp_path / "video0", automatic_camera()
    device.touch()

    def ioctl(descriptor: int, code: int, buffer: bytearray) -> int:
        if Path(f"/proc/self/fd/{descriptor}").readlink().name != "video0":
            raise OSError(errno.ENOTTY, os.strerror(errno.ENOTTY))
        call, layout = next((call, layout) for call, (number, layout) in CALLS.items() if number == code)
        assert len(buffer) == ctypes.sizeof(layout)
        simulated.call(call, layout.from_buffer(buffer))
        return 0

    monkeypatch.setattr(fcntl, "ioctl", ioctl)
    monkeypatch.setattr(cameras, "DEVICES", tmp_path)
    monkeypatch.setattr("dmdd_edge.runtime.sources.devices.is_live", lambda source: source.endswith("video0"))
    monkeypatch.setattr(cv2, "VideoCapture", PartsCapture)
    monkeypatch.setattr(SimulatedCapture, "camera", simulated, raising=False)
    monkeypatch.setattr(SimulatedCapture, "frames", 10**6)
    monkeypatch.setattr(SimulatedCapture, "opens", True)
    return str(device)


def test_the_settings_of_a_v4l2_camera_are_read(video0: str) -> None:
    settings = v4l2_settings(video0)
    assert settings is not None
    assert settings.values == {
        "white_balance_automatic": 1,
        "gain": 50,
        "white_balance_temperature": 4000,
        "auto_exposure": 3,
        "exposure_time_absolute": 157,
    }
    assert settings.automatic == ("exposure", "white balance")
    # 157 units of 100 microseconds.
    assert settings.locks == "--exposure 15.7 --white-balance 4000"


def test_a_camera_that_sets_itself_is_refused_with_what_locks_it(video0: str, tmp_path: Path) -> None:
    options = CollectOptions(source=video0, into=tmp_path / "set", take="all", target=2)
    with pytest.raises(SourceError, match="sets its exposure and white balance by itself") as raised:
        collect_images(options)
    assert "--exposure 15.7 --white-balance 4000" in raised.value.fix
    assert "--allow-auto" in raised.value.fix
    assert not (tmp_path / "set").exists()


def test_a_locked_camera_is_taken_and_its_settings_are_in_the_record(video0: str, tmp_path: Path) -> None:
    into = tmp_path / "set"
    options = CollectOptions(source=video0, into=into, take="all", target=2, exposure=8.0, white_balance=4600)
    assert collect_images(options).counts.images == 2
    camera = json.loads((into / "000002.json").read_text())["camera"]
    assert camera["automatic"] == []
    assert camera["values"]["exposure_time_absolute"] == 80
    assert camera["values"]["white_balance_temperature"] == 4600
    assert "exposure 8 ms, white balance 4600 K" in camera["detail"]


def test_a_camera_that_may_set_itself_is_taken(video0: str, tmp_path: Path) -> None:
    into = tmp_path / "set"
    collect_images(CollectOptions(source=video0, into=into, take="all", target=1, allow_auto=True))
    camera = json.loads((into / "000001.json").read_text())["camera"]
    assert camera["automatic"] == ["exposure", "white balance"]


class Belt(ScriptedCamera):
    """Sends another part whenever it is asked, with its number, and never ends."""

    sent = 0

    def next(self, seconds: float) -> RawFrame | None:
        time.sleep(0.005)
        self.sent += 1
        return RawFrame(part(self.sent)[..., 0].tobytes(), 160, 160, 0, _MONO8, self.sent, 1000 * self.sent)


def genicam(monkeypatch: pytest.MonkeyPatch, gain: str) -> None:
    camera = Belt(
        [
            Feature("PixelFormat", "enumeration", "Mono8", entries=("Mono8",)),
            Feature("Width", "integer", 160, minimum=16, maximum=200),
            Feature("Height", "integer", 160, minimum=16, maximum=200),
            Feature("ExposureAuto", "enumeration", "Off", entries=("Off", "Continuous")),
            Feature("ExposureTime", "float", 2500.0, minimum=10, maximum=1e6, unit="us"),
            Feature("GainAuto", "enumeration", gain, entries=("Off", "Continuous")),
            Feature("Gain", "float", 6.0, minimum=0, maximum=24, unit="dB"),
            Feature("TriggerMode", "enumeration", "On", entries=("On", "Off")),
            Feature("TriggerSource", "enumeration", "Line1", entries=("Line1", "Software")),
        ]
    )
    monkeypatch.setattr(device_module, "open_driver", lambda name: (ScriptedDriver(camera), ""))


def test_a_triggered_camera_gives_each_image_with_its_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genicam(monkeypatch, "Off")
    into = tmp_path / "set"
    options = CollectOptions(source="genicam://A1", into=into, target=2)
    with OpenCollection(options, lambda line: None) as collection:
        assert collection.way == "trigger"
        assert collection.process().counts.images == 2
    record = json.loads((into / "000001.json").read_text())
    assert record["frame"]["device_time_ns"] == 1000 * record["frame"]["frame_id"]
    assert record["camera"]["values"]["ExposureTime"] == 2500.0
    assert record["camera"]["values"]["TriggerSource"] == "Line1"
    assert record["camera"]["automatic"] == []


def test_a_genicam_camera_that_sets_itself_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    genicam(monkeypatch, "Continuous")
    with pytest.raises(SourceError, match="sets its gain by itself") as raised:
        collect_images(CollectOptions(source="genicam://A1", into=tmp_path / "set"))
    assert "--gain 6," in raised.value.fix
