"""Trigger ``camera`` of a second camera: which frame belongs to which part."""

from __future__ import annotations

import random
import time

import pytest

from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sources.live_device import MissingFrameError
from dmdd_edge.runtime.station.frame_matching import Tolerance, verdict
from dmdd_edge.runtime.station.model import ErrorCode, FrameRequest
from tests.runtime.station.shutter import FOREVER, Parts, Shutter, answer, running

NO_FRAME = ErrorCode.NO_FRAME


@pytest.fixture
def now() -> float:
    return time.perf_counter()


def test_frames_find_their_parts_whichever_comes_first(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {1: now + 0.01, 2: now + 0.99}
    with running(device, "camera", parts) as camera:
        first = camera.request(now)
        device.give(1, 2)
        second = camera.request(now + 1)
        assert [answer(first), answer(second)] == [1, 2]
    assert parts.missed == []


def test_one_lost_frame_does_not_shift_the_others(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {number: now + 0.1 * number + 0.005 for number in range(40)}
    answers = []
    with running(device, "camera", parts) as camera:
        for number in range(40):
            request = camera.request(now + 0.1 * number)
            if number != 7:
                device.give(number)
            answers.append(request)
        assert [answer(each) for each in answers] == [NO_FRAME if n == 7 else n for n in range(40)]
        broken = answers[7].wait(0)
        assert isinstance(broken, BrokenFrame)
        assert (
            "has no frame within 45 ms of the part's trigger; the next one came 105 ms"
            in broken.error.message
        )
    assert parts.missed == []


def test_one_part_that_never_began_does_not_shift_the_others(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {number: now + 0.1 * number for number in range(20)}
    with running(device, "camera", parts) as camera:
        requests = []
        for number in range(20):
            device.give(number)
            if number != 7:
                requests.append(camera.request(now + 0.1 * number))
        assert [answer(each) for each in requests] == [n for n in range(20) if n != 7]
        assert parts.wait_for_missed(1) == [(device.times[7], NO_FRAME)]
        assert camera.state().dropped == 1


@pytest.mark.parametrize("seed", range(5))
def test_losses_on_both_sides_are_counted_exactly(now: float, seed: int) -> None:
    draw = random.Random(seed)
    device, parts = Shutter(), Parts()
    began = [draw.random() > 0.1 for _ in range(120)]
    came = [draw.random() > 0.1 for _ in range(120)]
    at, times = now, []
    for number in range(120):
        at += draw.uniform(0.12, 0.4)
        times.append(at)
        device.times[number] = at + draw.uniform(-0.02, 0.02)
    requests: dict[int, FrameRequest] = {}
    with running(device, "camera", parts) as camera:
        for number, at in enumerate(times):
            # Either may be first, but both are there before those of the next part.
            frame_first = draw.random() < 0.5
            if came[number] and frame_first:
                device.give(number)
            if began[number]:
                requests[number] = camera.request(at)
            if came[number] and not frame_first:
                device.give(number)
        # A last part shows that those before are complete.
        device.times[200] = at + 1
        requests[200] = camera.request(at + 1)
        device.give(200)
        found = {number: answer(request, 0) for number, request in requests.items()}
        assert found.pop(200) == 200
        assert found == {n: n if came[n] else NO_FRAME for n in range(120) if began[n]}
        orphans = [device.times[n] for n in range(120) if came[n] and not began[n]]
        assert sorted(time for time, _ in parts.wait_for_missed(len(orphans))) == orphans
        assert camera.state().dropped == len(orphans)


def test_a_frame_that_no_part_claims_is_reported_when_its_time_is_over() -> None:
    device, parts = Shutter(), Parts()
    with running(device, "camera", parts, timeout_ms=1.0):
        device.give(1)
        assert [code for _, code in parts.wait_for_missed(1)] == [NO_FRAME]


def test_frames_that_no_part_claims_are_bounded(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {number: now + number for number in range(10)}
    with running(device, "camera", parts, queue=3) as camera:
        device.give(*range(10))
        assert [time for time, _ in parts.wait_for_missed(7)] == [now + number for number in range(7)]
        assert answer(camera.request(now + 7)) == 7


def test_a_frame_that_comes_after_its_part_was_answered_is_late_but_not_another_part(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {1: now + 0.01, 2: now + 1.01}
    with running(device, "camera", parts) as camera:
        assert answer(camera.request(now), 0) is None
        device.give(1)
        second = camera.request(now + 1)
        device.give(2)
        assert answer(second) == 2
        assert (camera.state().frames, camera.state().dropped) == (1, 1)
    assert parts.missed == []


def test_a_frame_that_never_arrived_answers_no_part(now: float) -> None:
    device, parts = Shutter(), Parts()
    device.times = {1: now, 2: now + 2, 3: now + 2}
    device.errors = {2: MissingFrameError("a frame never arrived.")}
    with running(device, "camera", parts) as camera:
        requests = [camera.request(now + number) for number in range(3)]
        device.give(1, 2, 3)
        assert [answer(each) for each in requests] == [1, NO_FRAME, 3]
    assert parts.missed == []


def test_the_tolerance_is_less_than_half_the_time_between_parts() -> None:
    tolerance = Tolerance(0.05)
    tolerance.part(1.0)
    assert tolerance.seconds == 0.05
    tolerance.part(1.04)
    assert tolerance.seconds == pytest.approx(0.018)
    tolerance.part(1.09)
    tolerance.part(1.12)
    assert tolerance.seconds == pytest.approx(0.018), "30 ms once, then 40 ms"
    for number in range(16):
        tolerance.part(2.0 + number)
    assert tolerance.seconds == 0.05, "what is long past no longer counts"
    tolerance.part(17.001)
    assert tolerance.seconds == 0.05, "a switch that bounced once"


def test_the_nearer_one_is_taken() -> None:
    assert verdict([0.0], [0.04], 0.05) == "match"
    assert verdict([0.0, 0.06], [0.04], 0.05) == "no frame"
    assert verdict([0.0], [-0.04, 0.01], 0.05) == "no part"
    assert verdict([0.0], [0.06], 0.05) == "no frame"
    assert verdict([0.0], [-0.06], 0.05) == "no part"


def test_stop_ends_the_wait_for_a_frame() -> None:
    device = Shutter()
    with running(device, "camera", Parts()) as camera:
        request = camera.request(time.perf_counter())
        camera.stop()
        assert request.wait(FOREVER) is None
        assert camera.request(time.perf_counter()).wait(FOREVER) is None
