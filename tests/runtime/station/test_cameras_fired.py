"""Trigger ``software``: the station fires the camera."""

from __future__ import annotations

import threading
import time

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sources import grabber
from dmdd_edge.runtime.sources.live_device import LostError, MissingFrameError
from dmdd_edge.runtime.station.model import ErrorCode
from tests.runtime.sources.reading import until
from tests.runtime.sources.scripted import LOST
from tests.runtime.station.shutter import FOREVER, Shutter, answer, running

NO_FRAME, CAMERA_LOST = ErrorCode.NO_FRAME, ErrorCode.CAMERA_LOST


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try to open a lost device again without much waiting."""
    monkeypatch.setattr(grabber, "BACK_OFF", (0.001, 0.01))


def test_each_trigger_fires_once_and_gets_its_own_frame() -> None:
    device = Shutter()
    device.answer = lambda: device.put(device.shots)
    with running(device, "software") as camera:
        for number in range(1, 101):
            assert answer(camera.request(time.perf_counter())) == number
        assert device.shots == 100
        assert (camera.state().frames, camera.state().dropped) == (100, 0)


def test_a_second_trigger_waits_for_the_frame_of_the_first() -> None:
    device = Shutter()
    with running(device, "software") as camera:
        requests = [camera.request(time.perf_counter()) for _ in range(3)]
        for number in range(1, 4):
            device.wait_for_shots(number)
            device.give(number)
        assert [answer(each) for each in requests] == [1, 2, 3]
        assert device.shots == 3


def test_a_late_frame_is_thrown_away_and_counted_and_never_answers_the_next_trigger() -> None:
    device = Shutter()
    with running(device, "software") as camera:
        first = camera.request(time.perf_counter())
        device.wait_for_shots(1)
        waiting = camera.request(time.perf_counter())
        assert answer(first, 0.01) is None
        assert answer(waiting) == NO_FRAME, "it would be fired too late for its part"
        refused = camera.request(time.perf_counter()).wait(FOREVER)
        assert isinstance(refused, BrokenFrame)
        assert "the frame of an earlier trigger has not come yet" in refused.error.message
        assert device.shots == 1
        device.give(1)
        assert camera.state().dropped == 1
        third = camera.request(time.perf_counter())
        device.wait_for_shots(2)
        device.give(3)
        assert answer(third) == 3
        assert answer(first, 0) is None
        assert (camera.state().frames, camera.state().dropped) == (1, 1)


def test_a_camera_that_never_delivers_is_reopened_so_that_its_frame_cannot_come_later() -> None:
    device = Shutter()
    with running(device, "software", timeout_ms=5.0) as camera:
        first = camera.request(time.perf_counter()).wait(FOREVER)
        assert isinstance(first, BrokenFrame)
        assert "delivered no frame within 5 ms" in first.error.message
        until(lambda: device.opened == 2 and camera.state().connected)
        assert device.shots == 1
    with running(device, "software") as camera:
        device.answer = lambda: device.put(9)
        assert answer(camera.request(time.perf_counter())) == 9


def test_a_frame_that_nobody_fired_is_counted() -> None:
    device = Shutter()
    with running(device, "software") as camera:
        device.give(1)
        request = camera.request(time.perf_counter())
        device.wait_for_shots(1)
        device.give(2)
        assert answer(request) == 2
        assert camera.state().dropped == 1


def test_a_frame_that_never_arrived_does_not_take_the_place_of_the_one_that_did() -> None:
    device = Shutter()
    device.errors = {1: MissingFrameError("a frame never arrived.")}
    with running(device, "software") as camera:
        request = camera.request(time.perf_counter())
        device.wait_for_shots(1)
        device.give(1, 2)
        assert answer(request) == 2


def test_a_camera_that_is_lost_answers_at_once_and_works_again_when_it_is_back() -> None:
    device = Shutter()
    with running(device, "software") as camera:
        shot, waiting = (camera.request(time.perf_counter()) for _ in range(2))
        device.wait_for_shots(1)
        away = [DmddError("it is away")] * 3
        device.refusals = list(away)
        opened = threading.Event()
        device.opening = opened.wait
        device.put(LOST)
        assert [answer(shot), answer(waiting)] == [CAMERA_LOST, CAMERA_LOST]
        refused = camera.request(time.perf_counter()).wait(FOREVER)
        assert isinstance(refused, BrokenFrame)
        assert refused.error.message == "the cable is out."
        assert refused.error.fix == "Plug it in."
        assert not camera.state().connected
        assert camera.state().message == "the cable is out"
        opened.set()
        until(lambda: camera.state().connected)
        device.answer = lambda: device.put(7)
        assert answer(camera.request(time.perf_counter())) == 7
        assert device.opened == 2


@pytest.mark.parametrize(
    "error", [LostError("gone"), DmddError("no such trigger."), ZeroDivisionError("bug")]
)
def test_a_camera_that_cannot_be_fired_answers_with_the_reason(error: Exception) -> None:
    device = Shutter()

    def fail() -> None:
        raise error

    device.answer = fail
    with running(device, "software") as camera:
        broken = camera.request(time.perf_counter()).wait(FOREVER)
        assert isinstance(broken, BrokenFrame)
        assert str(error).rstrip(".") in broken.error.message
        if isinstance(error, LostError):
            until(lambda: device.opened == 2 and camera.state().connected)
        device.answer = lambda: device.put(4)
        assert answer(camera.request(time.perf_counter())) == 4


def test_stop_ends_every_wait() -> None:
    device = Shutter()
    with running(device, "software") as camera:
        requests = [camera.request(time.perf_counter()) for _ in range(2)]
        device.wait_for_shots(1)
        threading.Timer(0.01, camera.stop).start()
        assert [request.wait(FOREVER) for request in requests] == [None, None]
        assert camera.request(time.perf_counter()).wait(FOREVER) is None
    until(lambda: device.closed == 1)
    assert device.shots == 1
