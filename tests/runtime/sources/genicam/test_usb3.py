"""USB3 Vision through viva-genicam, against its simulated camera in memory, which no search finds."""

from __future__ import annotations

import threading
from typing import Any

import numpy as np
import pytest

from dmdd_edge.runtime.sources.genicam import device as device_module
from dmdd_edge.runtime.sources.genicam.device import GenicamDevice
from dmdd_edge.runtime.sources.genicam.interface import Found
from dmdd_edge.runtime.sources.options import SourceOptions
from tests.runtime.sources.genicam.cameras import needs_viva

pytestmark = needs_viva


class _Usb:
    """A driver that finds one camera on USB, and opens it as viva-genicam opens those that it finds."""

    name, version = "viva", "0"

    def __init__(self, fake: Any) -> None:
        self._fake = fake

    def find(self) -> list[Found]:
        return [Found("U9", "FakeU3V", "viva", "usb2-4", "USB3 Vision")]

    def open(self, found: Found) -> Any:
        from dmdd_edge.runtime.sources.genicam.viva import Camera

        return Camera(self._fake.connect())


def test_frames_come_from_a_usb3_camera(monkeypatch: pytest.MonkeyPatch) -> None:
    from viva_genicam.testing import FakeU3vCamera

    fake = FakeU3vCamera(64, 48, "Mono8")
    monkeypatch.setattr(device_module, "open_driver", lambda name: (_Usb(fake), ""))
    device = GenicamDevice("genicam://U9?Width=32&PixelFormat=RGB8Packed", SourceOptions())
    device.open(threading.Event())
    assert fake.acquiring()
    assert not device.armed
    stamps = []
    for _ in range(3):
        device.grab(threading.Event())
        image = device.retrieve()
        assert (image.shape, image.dtype) == ((48, 32, 3), np.uint8)
        stamps.append(device.stamp())
    assert [stamp.frame_id for stamp in stamps] == [0, 1, 2]
    times = [stamp.device_time_ns for stamp in stamps]
    assert times == sorted(set(times))
    assert "RGB8Packed 32 x 48" in device.detail()
    device.close()
    assert not fake.acquiring()
