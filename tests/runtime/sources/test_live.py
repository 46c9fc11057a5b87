"""Live sources: only the newest frame, every drop counted, lost devices opened again."""

from __future__ import annotations

import itertools
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator

import pytest

from dmdd_edge import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source, grabber
from dmdd_edge.runtime.sources.live import LiveSource
from dmdd_edge.runtime.sources.thinning import Thinner
from tests.runtime.sources.reading import Reader, until
from tests.runtime.sources.scripted import END, LOST, Scripted

Read = Callable[[Source], Reader]


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Try to open a lost device again without much waiting."""
    monkeypatch.setattr(grabber, "BACK_OFF", (0.001, 0.01))


@pytest.fixture
def opened() -> Iterator[tuple[Scripted, LiveSource]]:
    device = Scripted()
    source = LiveSource(device, Thinner(), drain=False)
    yield device, source
    source.stop()


def _next(frames: Iterator[Frame | BrokenFrame]) -> Frame:
    frame = next(frames)
    assert isinstance(frame, Frame)
    return frame


def test_only_the_newest_frame_is_handed_out_and_each_other_is_counted(
    opened: tuple[Scripted, LiveSource],
) -> None:
    device, source = opened
    assert source.live
    assert source.total is None
    frames = iter(source)
    device.put(10)
    first = _next(frames)
    assert (int(first.image[0, 0, 0]), first.index, first.dropped) == (10, 0, 0)
    device.give(11, 12, 13)
    second = _next(frames)
    assert (int(second.image[0, 0, 0]), second.index, second.dropped) == (13, 1, 2)
    device.give(14)
    third = _next(frames)
    assert (int(third.image[0, 0, 0]), third.index, third.dropped) == (14, 2, 0)
    state = source.state()
    assert (state.frames, state.dropped, state.width, state.height) == (3, 2, 48, 32)
    assert state.connected
    assert state.live
    assert state.name == "scripted camera"
    assert state.frame_age is not None


def test_what_comes_before_the_iteration_is_drained_and_not_counted() -> None:
    device = Scripted()
    source = LiveSource(device, Thinner())
    device.give(1, 2, 3)
    frames = iter(source)
    threading.Timer(0.05, device.put, (4, 5)).start()
    first = _next(frames)
    assert int(first.image[0, 0, 0]) >= 4, "frames from before the run started are stale"
    assert first.dropped <= 1
    source.stop()


def test_the_time_is_that_of_the_grab_not_of_the_hand_out(opened: tuple[Scripted, LiveSource]) -> None:
    device, source = opened
    frames = iter(source)
    before = time.time()
    device.put(1)
    _next(frames)
    device.give(2)
    after = time.time()
    time.sleep(0.05)
    second = _next(frames)
    assert before <= second.time <= after


def test_a_damaged_frame_is_broken_and_the_next_one_follows(opened: tuple[Scripted, LiveSource]) -> None:
    device, source = opened
    frames = iter(source)
    device.put(1)
    _next(frames)
    device.give(2, DmddError("x"))
    broken = next(frames)
    assert isinstance(broken, BrokenFrame)
    assert broken.index == 1
    device.give(3)
    # The drop before the broken frame is reported with the first frame that can carry it.
    assert _next(frames).dropped == 1


def test_a_lost_device_is_opened_again_and_the_run_goes_on(
    opened: tuple[Scripted, LiveSource], read: Read
) -> None:
    device, source = opened
    reader = read(source)
    device.give(1)
    reader.wait_for(1)
    device.refusals = [DmddError("it is gone")] * 3
    device.give(LOST)  # comes back when the device, open again, has to deliver a frame
    assert device.refusals == []
    assert device.opened == 2
    state = source.state()
    assert not state.connected, "open, but no frame has come yet"
    assert state.message == "it is gone"
    assert state.reconnects == 0
    device.give(2)
    assert [frame.index for frame in reader.wait_for(2)] == [0, 1]
    state = source.state()
    assert state.connected
    assert state.message == ""
    assert state.reconnects == 1
    assert state.detail == "opened 2 times"
    device.give(LOST, LOST, LOST, 3)
    reader.wait_for(3)
    assert source.state().reconnects == 2, "a device that opens but delivers nothing is not connected"


def test_attempts_come_less_and_less_often_until_a_frame_comes(
    monkeypatch: pytest.MonkeyPatch, read: Read
) -> None:
    monkeypatch.setattr(grabber, "BACK_OFF", (0.5, 2.0))
    waits: list[float] = []

    class Impatient(threading.Event):
        def wait(self, timeout: float | None = None) -> bool:
            waits.append(timeout or 0.0)
            return self.is_set()

    device = Scripted()
    source = LiveSource(device, Thinner(), drain=False)
    source._grabber._stop = Impatient()
    reader = read(source)
    device.give(1)
    device.refusals = [DmddError("away")] * 3
    device.give(LOST, LOST, 2, LOST)
    assert waits == [0.5, 1.0, 2.0, 2.0, 2.0, 0.5]
    reader.stop()


def test_a_device_that_never_gives_a_frame_is_an_error(
    opened: tuple[Scripted, LiveSource], read: Read
) -> None:
    device, source = opened
    reader = read(source)
    device.put(LOST)
    reader.wait_for_end()
    assert isinstance(reader.error, DmddError)
    assert reader.error.message == "the cable is out."
    assert reader.error.fix == "Plug it in."
    assert device.opened == 1


def test_a_device_that_cannot_be_had_is_an_error_at_once() -> None:
    device = Scripted()
    device.refusals = [DmddError("busy")]
    with pytest.raises(DmddError, match="busy"):
        LiveSource(device, Thinner())


def test_the_last_frame_is_handed_out_before_the_end(opened: tuple[Scripted, LiveSource]) -> None:
    device, source = opened
    frames = iter(source)
    device.put(1)
    _next(frames)
    device.give(2, 3)
    device.put(END)
    until(lambda: device.closed == 1)
    last = _next(frames)
    assert (int(last.image[0, 0, 0]), last.dropped) == (3, 1)
    assert list(frames) == []


def test_an_unexpected_error_of_the_device_reaches_the_run(
    opened: tuple[Scripted, LiveSource], read: Read
) -> None:
    device, source = opened
    reader = read(source)
    device.put(ZeroDivisionError())
    reader.wait_for_end()
    assert isinstance(reader.error, ZeroDivisionError)
    assert device.closed == 1


def test_stop_ends_the_wait_for_a_frame_and_gives_the_device_back(
    opened: tuple[Scripted, LiveSource], read: Read
) -> None:
    device, source = opened
    reader = read(source)
    reader.stop()
    assert reader.error is None
    assert reader.frames == []
    until(lambda: device.closed == 1)
    source.stop()  # a second stop is harmless


def test_stop_ends_the_wait_for_a_lost_device(
    opened: tuple[Scripted, LiveSource], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, source = opened
    reader = read(source)
    device.give(1)
    reader.wait_for(1)
    monkeypatch.setattr(grabber, "BACK_OFF", (1000.0, 1000.0))
    source._grabber._delay = 1000.0
    device.put(LOST)
    until(lambda: source.state().message == "the cable is out")
    reader.stop()
    assert device.opened == 1


def test_leaving_the_iteration_gives_the_device_back(opened: tuple[Scripted, LiveSource]) -> None:
    device, source = opened
    frames = iter(source)
    device.put(1)
    _next(frames)
    frames.close()  # type: ignore[attr-defined]
    until(lambda: device.closed == 1)


def test_a_camera_that_falls_silent_is_not_connected(
    opened: tuple[Scripted, LiveSource], read: Read, monkeypatch: pytest.MonkeyPatch
) -> None:
    device, source = opened
    reader = read(source)
    device.give(1)
    reader.wait_for(1)
    assert source.state().connected
    monkeypatch.setattr(grabber, "STALE_AFTER", 0.0)
    state = source.state()
    assert not state.connected
    assert state.message.startswith("no frame for")
    assert state.fps is None


def test_names_hold_the_day_and_the_time_and_do_not_repeat(
    opened: tuple[Scripted, LiveSource], monkeypatch: pytest.MonkeyPatch
) -> None:
    device, source = opened
    monkeypatch.setattr(time, "time", lambda: 1790000000.5)  # 2026-09-21 14:13:20.5 UTC
    frames = iter(source)
    device.put(1)
    assert _next(frames).name == "scripted/2026-09-21/14-13-20-500-000000"
    device.give(2)
    assert _next(frames).name == "scripted/2026-09-21/14-13-20-500-000001"


def test_only_wanted_frames_are_decoded_and_counted() -> None:
    device = Scripted()
    source = LiveSource(device, Thinner(every=3), drain=False)
    frames = iter(source)
    device.put(0)
    _next(frames)
    device.give(*range(1, 10))  # 3, 6 and 9 are wanted
    frame = _next(frames)
    assert (int(frame.image[0, 0, 0]), frame.dropped) == (9, 2)
    source.stop()


def test_memory_does_not_grow_while_nobody_takes_a_frame(opened: tuple[Scripted, LiveSource]) -> None:
    device, source = opened
    frames = iter(source)
    device.put(1)
    _next(frames)
    device.give(*itertools.repeat(2, 200))
    tracemalloc.start()
    device.give(*itertools.repeat(3, 50))
    before, _ = tracemalloc.get_traced_memory()
    device.give(*itertools.repeat(4, 500))
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 4 * 32 * 48 * 3, "more than a few frames are held"
    assert _next(frames).dropped == 749
