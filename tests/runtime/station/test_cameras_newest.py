"""Trigger ``newest``: the first frame that was grabbed after the trigger; and cameras that fail."""

from __future__ import annotations

import threading
import time

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import freshness, grabber
from dmdd_edge.runtime.station.model import ErrorCode
from tests.runtime.sources.reading import until
from tests.runtime.sources.scripted import END, LOST, Scripted
from tests.runtime.station.shutter import FOREVER, Shutter, answer, running

CAMERA_LOST = ErrorCode.CAMERA_LOST


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try to open a lost device again without much waiting."""
    monkeypatch.setattr(grabber, "BACK_OFF", (0.001, 0.01))


@pytest.fixture
def now() -> float:
    return time.perf_counter()


def test_a_frame_that_was_taken_before_the_trigger_does_not_count_though_it_leaves_the_buffer_later(
    now: float,
) -> None:
    device = Shutter(armed=False)
    device.times = {1: now - 0.03, 2: now - 0.001, 3: now + 0.03, 4: now + 0.06}
    with running(device, "newest") as camera:
        request = camera.request(now)
        device.give(1, 2, 3, 4)
        assert answer(request) == 3
        assert camera.state().frames == 1


def test_a_stream_with_a_known_delay_is_given_time_to_settle(now: float) -> None:
    device = Shutter(armed=False)
    device.times = {1: now + 0.1, 2: now + 0.29, 3: now + 0.31}
    with running(device, "newest", settle_ms=300.0) as camera:
        request = camera.request(now)
        device.give(1, 2, 3)
        assert answer(request) == 3


def test_without_a_time_stamp_a_frame_from_the_buffer_does_not_count(monkeypatch: pytest.MonkeyPatch) -> None:
    device = Scripted()
    with running(device, "newest") as camera:
        monkeypatch.setattr(freshness, "WAITED", 0.0)
        device.give(1)  # waited for
        monkeypatch.setattr(freshness, "WAITED", FOREVER)
        request = camera.request(time.perf_counter())
        device.give(2, 3)  # both were in the buffer
        assert not request.done
        monkeypatch.setattr(freshness, "WAITED", 0.0)
        device.give(4)
        # The wait for the fourth may have begun while it still counted as one from the buffer.
        device.give(5)
        assert answer(request) in (4, 5)


def test_two_triggers_before_one_frame_get_it_as_two_frames(now: float) -> None:
    device = Shutter(armed=False)
    device.times = {1: now + 0.02, 2: now + 0.05}
    with running(device, "newest") as camera:
        requests = [camera.request(now + 0.01 * number) for number in range(4)]
        device.give(1, 2)
        frames = [request.wait(0) for request in requests]
        assert [answer(each) for each in requests] == [1, 1, 1, 2]
        assert len({frame.name for frame in frames if isinstance(frame, Frame)}) == 4


def test_frames_that_nobody_waits_for_are_not_decoded() -> None:
    device = Shutter(armed=False)
    device.errors = {1: DmddError("it must not be decoded")}
    with running(device, "newest") as camera:
        device.give(1, 1, 1)
        assert (camera.state().frames, camera.state().dropped) == (0, 0)


def test_a_request_is_withdrawn_when_no_frame_comes_in_time(now: float) -> None:
    device = Shutter(armed=False)
    with running(device, "newest") as camera:
        request = camera.request(now)
        assert request.wait(0.001) is None
        device.give(1)
        assert request.wait(0) is None
        assert camera.state().frames == 0


def test_a_camera_that_is_lost_before_its_first_frame_comes_back_too() -> None:
    device = Shutter(armed=False)
    lines: list[str] = []
    with running(device, "newest", say=lines.append) as camera:
        request = camera.request(time.perf_counter())
        opening = threading.Event()
        device.opening = opening.wait
        device.put(LOST)
        assert answer(request) == CAMERA_LOST
        assert answer(camera.request(time.perf_counter())) == CAMERA_LOST
        opening.set()
        until(lambda: device.opened == 2)
        device.give()
        request = camera.request(time.perf_counter())
        device.give(5)
        assert answer(request) == 5
    assert lines == ["the cable is out; reconnecting.", "scripted camera: reconnected after 0 s."]


def test_an_unexpected_failure_of_a_device_is_a_loss_and_not_the_end() -> None:
    device = Shutter(armed=False)
    with running(device, "newest") as camera:
        request = camera.request(time.perf_counter())
        device.put(ZeroDivisionError("division by zero"))
        broken = request.wait(FOREVER)
        assert isinstance(broken, BrokenFrame)
        assert "failed: ZeroDivisionError: division by zero" in broken.error.message
        until(lambda: device.opened == 2)
        device.give()
        request = camera.request(time.perf_counter())
        device.give(5)
        assert answer(request) == 5


def test_a_device_that_has_ended_answers_at_once() -> None:
    device = Scripted()
    with running(device, "newest") as camera:
        request = camera.request(time.perf_counter())
        device.put(END)
        for _ in range(2):
            broken = request.wait(FOREVER)
            assert isinstance(broken, BrokenFrame)
            assert broken.error.message == "scripted camera has no more frames."
            request = camera.request(time.perf_counter())


def test_a_camera_that_cannot_be_opened_yet_answers_at_once_and_may_be_started_again() -> None:
    device = Scripted()
    device.refusals = [DmddError("busy.")]
    with pytest.raises(DmddError, match="busy"), running(device, "newest"):
        pass
    assert device.closed >= 1
    with running(device, "newest") as camera:
        assert camera.state().connected


def test_a_camera_that_was_never_started_answers_at_once() -> None:
    from dmdd_edge.runtime.station.cameras import Camera
    from dmdd_edge.runtime.station.settings import CameraSettings

    device = Scripted()
    device.refusals = [DmddError("busy.")]
    camera = Camera(CameraSettings(name="top", source="fake"), device)
    broken = camera.request(0.0).wait(FOREVER)
    assert isinstance(broken, BrokenFrame)
    assert broken.error.message == "Camera top is not open yet."
    assert not camera.state().connected
    with pytest.raises(DmddError, match="busy"):
        camera.start()
    assert answer(camera.request(0.0)) == CAMERA_LOST
    camera.start()
    assert camera.state().connected
    camera.stop()


def test_stop_ends_the_wait_for_a_frame() -> None:
    device = Shutter(armed=False)
    with running(device, "newest") as camera:
        request = camera.request(time.perf_counter())
        threading.Timer(0.01, camera.stop).start()
        assert request.wait(FOREVER) is None
    until(lambda: device.closed == 1)
