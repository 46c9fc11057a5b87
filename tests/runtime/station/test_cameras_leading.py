"""Triggers ``camera`` and ``free``: a camera that begins the parts."""

from __future__ import annotations

import time

import pytest

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.sources import grabber
from dmdd_edge.runtime.sources.live_device import MissingFrameError
from dmdd_edge.runtime.station.model import ErrorCode
from tests.runtime.sources.reading import until
from tests.runtime.sources.scripted import Scripted
from tests.runtime.station.shutter import Parts, Shutter, answer, running

OVERFLOW = ErrorCode.QUEUE_OVERFLOW


@pytest.fixture
def now() -> float:
    return time.perf_counter()


def test_every_frame_of_a_triggered_camera_begins_a_part_in_order(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {number: now - 100 + number for number in range(1, 8)}
    with running(device, "camera", parts, leads=True) as camera:
        device.give(*range(1, 8))
        assert parts.times == [now - 100 + number for number in range(1, 8)]
        frames = [request.wait(0) for request in parts.requests]
        assert [isinstance(frame, Frame) and frame.index for frame in frames] == list(range(7))
        assert [answer(request) for request in parts.requests] == list(range(1, 8))
        assert len({frame.name for frame in frames if isinstance(frame, Frame)}) == 7
        state = camera.state()
        assert (state.frames, state.dropped, state.connected, state.triggered) == (7, 0, True, True)
    assert parts.missed == []


def test_a_frame_that_finds_the_queue_full_is_reported_and_never_replaces_another(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {number: now - 100 + number for number in range(1, 8)}
    with running(device, "camera", parts, leads=True, queue=2) as camera:
        device.give(1, 2, 3, 4)
        assert parts.missed == [(now - 97, OVERFLOW), (now - 96, OVERFLOW)]
        assert answer(parts.requests[0]) == 1
        device.give(5, 6)
        assert [answer(request) for request in parts.requests] == [1, 2, 5]
        assert parts.missed[2:] == [(now - 94, OVERFLOW)]
        assert (camera.state().frames, camera.state().dropped) == (3, 3)


def test_a_part_that_is_given_up_makes_room() -> None:
    device, parts = Shutter(), Parts()
    with running(device, "camera", parts, leads=True, queue=1):
        device.give(1)
        parts.requests.clear()  # the engine refused it
        device.give(2)
        assert [answer(request) for request in parts.requests] == [2]
        assert parts.missed == []


def test_a_frame_that_never_arrived_is_a_part_between_its_neighbors(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {1: now - 10.0, 2: now - 7.0, 3: now - 7.0, 4: now - 7.0}
    device.errors = {number: MissingFrameError("a frame never arrived.") for number in (2, 3)}
    with running(device, "camera", parts, leads=True):
        device.give(1, 2, 3, 4)
        assert [answer(each) for each in parts.requests] == [
            1,
            ErrorCode.BROKEN_FRAME,
            ErrorCode.BROKEN_FRAME,
            4,
        ]
        assert parts.times == pytest.approx([now - 10, now - 9, now - 8, now - 7], abs=1e-9)


def test_a_damaged_frame_is_a_part_too() -> None:
    device, parts = Shutter(), Parts()
    device.errors = {2: DmddError("it is incomplete.")}
    with running(device, "camera", parts, leads=True):
        device.give(1, 2, 3)
        assert [answer(each) for each in parts.requests] == [1, ErrorCode.BROKEN_FRAME, 3]


def test_a_free_camera_offers_one_frame_and_keeps_it_the_newest() -> None:
    device, parts = Scripted(), Parts()
    with running(device, "free", parts, leads=True) as camera:
        device.give(1, 2, 3)
        assert len(parts.requests) == 1
        first = parts.requests[0].wait(0)
        assert isinstance(first, Frame)
        assert (int(first.image[0, 0, 0]), first.index, first.dropped) == (3, 0, 2)
        assert answer(parts.requests[0]) == 3, "a second look gives the same frame"
        device.give(4)
        second = parts.requests[1].wait(0)
        assert isinstance(second, Frame)
        assert (int(second.image[0, 0, 0]), second.index, second.dropped) == (4, 1, 0)
        assert (camera.state().frames, camera.state().dropped) == (2, 2)
        device.give(5)
        parts.requests.clear()  # the engine refused it
        device.give(6)
        assert [answer(request) for request in parts.requests] == [6]
    assert parts.missed == []


def test_a_stopped_camera_begins_no_part() -> None:
    device, parts = Shutter(), Parts()
    with running(device, "camera", parts, leads=True) as camera:
        device.give(1)
        camera.stop()
        camera.stop()
        device.put(2)
    assert [answer(request) for request in parts.requests] == [1]
    assert device.closed == 1


@pytest.mark.parametrize("trigger", ["newest", "software"])
def test_only_some_triggers_begin_parts(trigger: str) -> None:
    device = Shutter(armed=trigger == "software")
    with running(device, trigger) as camera, pytest.raises(ValueError, match="begins no parts"):
        camera.lead(Parts().arrived)


def test_a_camera_without_triggers_for_long_is_connected_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(grabber, "STALE_AFTER", 0.0)
    for device in (Shutter(), Scripted()):
        with running(device, "camera", Parts(), leads=True) as camera:
            device.give(1)
            state = camera.state()
            assert (state.connected, state.message, state.triggered) == (True, "", True)
    with running(device := Scripted(), "newest") as camera:
        device.give(1)
        assert camera.state().message.startswith("no frame for")


def test_a_camera_may_be_stopped_by_what_it_calls() -> None:
    device, parts = Shutter(), Parts()
    with running(device, "camera", parts, leads=True) as camera:
        parts.then = camera.stop
        device.put(1)
        parts.wait_for_requests(1)
        until(lambda: device.closed == 1)
