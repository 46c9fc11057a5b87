"""When a frame was taken, as the device knows it: V4L2's time stamps, the times of a stream."""

from __future__ import annotations

import threading
import time
from types import SimpleNamespace
from typing import Any

import cv2
import pytest

from dmdd_edge.runtime.sources import camera, stream
from dmdd_edge.runtime.sources.camera import Camera
from dmdd_edge.runtime.sources.live_device import LostError, Stamped
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.stream import FfmpegStream


class Capture:
    """OpenCV's capture, as far as these tests need it."""

    def __init__(self, milliseconds: float = 0.0, grabs: tuple[bool, ...] = ()) -> None:
        self.milliseconds, self.grabs = milliseconds, list(grabs)

    def get(self, number: int) -> float:
        assert number == cv2.CAP_PROP_POS_MSEC
        return self.milliseconds

    def grab(self) -> bool:
        return self.grabs.pop(0)


class Clock:
    """A clock that a test sets; each look at it moves it by ``step`` seconds."""

    def __init__(self, now: float = 1000.0, step: float = 0.0) -> None:
        self.now, self.step = now, step

    def __call__(self) -> float:
        self.now += self.step
        return self.now


def with_capture(device: Any, capture: Capture) -> Any:
    device._capture = capture
    assert isinstance(device, Stamped)
    return device


@pytest.mark.parametrize(
    ("stamp", "taken"),
    [
        (999.970, 999.970),
        (1000.0, 1000.0),
        (1000.03, 1000.0),  # the end of the frame, as computed by the driver
        (0.0, None),  # before the first frame
        (1_790_000_000.0, None),  # the clock of the day
        (990.0, None),  # another clock
    ],
)
def test_a_driver_stamps_with_the_monotonic_clock(
    stamp: float, taken: float | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "time", SimpleNamespace(perf_counter=Clock()))
    device = with_capture(Camera("/dev/video0", SourceOptions()), Capture(1000 * stamp))
    assert device.taken() == (None if taken is None else pytest.approx(taken))


def test_a_frame_that_waited_for_long_keeps_its_time(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock()
    monkeypatch.setattr(camera, "time", SimpleNamespace(perf_counter=clock))
    device = with_capture(Camera("/dev/video0", SourceOptions()), Capture(999_990.0))
    assert device.taken() == pytest.approx(999.99)
    device._capture.milliseconds, clock.now = 1_000_020.0, 1600.0  # the program was suspended for ten minutes
    assert device.taken() == pytest.approx(1000.02)


def test_the_clock_of_the_stamps_is_that_of_the_triggers() -> None:
    # V4L2 stamps with CLOCK_MONOTONIC.
    before, stamp, after = time.perf_counter(), time.clock_gettime(time.CLOCK_MONOTONIC), time.perf_counter()
    assert before <= stamp <= after


def test_a_stream_tells_when_a_frame_arrived_that_waited_to_be_decoded(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    clock = Clock(now=1000.0)
    monkeypatch.setattr(stream, "time", SimpleNamespace(perf_counter=clock, monotonic=clock))
    device = with_capture(FfmpegStream("rtsp://host/1", 10.0), Capture())
    found = []
    # Grabbed in time, in time, then 450 ms late after other work, and the two after it at once.
    for position, grabbed in ((0.0, 1000.0), (0.1, 1000.1), (0.2, 1000.65), (0.3, 1000.652), (0.7, 1000.7)):
        device._capture.milliseconds, clock.now = 1000 * position, grabbed
        found.append(device.taken())
    assert found == pytest.approx([1000.0, 1000.1, 1000.2, 1000.3, 1000.7])


def test_a_stream_without_times_tells_when_a_frame_was_grabbed(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = Clock(step=0.5)
    monkeypatch.setattr(stream, "time", SimpleNamespace(perf_counter=clock, monotonic=clock))
    device = with_capture(FfmpegStream("rtsp://host/1", 10.0), Capture())
    assert [device.taken() for _ in range(3)] == [1000.5, 1001.0, 1001.5]


def test_a_camera_with_a_hardware_trigger_waits_while_it_is_connected(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # OpenCV gives up after 10 s without a frame.
    monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=Clock(step=10.0)))
    connected = [True, True, False]
    monkeypatch.setattr(camera, "_answers", lambda path: connected.pop(0))
    device = with_capture(Camera("/dev/video0", SourceOptions()), Capture(grabs=(False, False, True)))
    device.patient = True
    device.grab(threading.Event())
    device._capture.grabs = [False]
    with pytest.raises(LostError, match="stopped delivering frames"):
        device.grab(threading.Event())
    assert connected == []


@pytest.mark.parametrize(("patient", "step"), [(False, 10.0), (True, 0.1)])
def test_a_camera_that_fails_at_once_is_lost(
    patient: bool, step: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(camera, "time", SimpleNamespace(monotonic=Clock(step=step)))
    monkeypatch.setattr(camera, "_answers", lambda path: True)
    device = with_capture(Camera("/dev/video0", SourceOptions()), Capture(grabs=(False,)))
    device.patient = patient
    with pytest.raises(LostError, match="stopped delivering frames"):
        device.grab(threading.Event())
