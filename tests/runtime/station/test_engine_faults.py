"""What goes wrong at a station: cameras, deadlines, graphs, observers. None of it says pass, or hangs."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import BackendError
from dmdd_edge.runtime.backends.onnxruntime_cpu import OnnxRuntimeCpu
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.station import engine as engines
from dmdd_edge.runtime.station import events
from dmdd_edge.runtime.station.model import ErrorCode, PartResult
from dmdd_edge.runtime.station.settings import StationSettings
from dmdd_edge.runtime.steps import Inferred
from tests.runtime.station.constant_bundles import station_settings
from tests.runtime.station.running import Camera, Notes, frame, lost, opened, running, wait_until
from tests.runtime.station.test_engine import plain as plain_station
from tests.runtime.station.test_engine import two_cameras

Make = Callable[..., Bundle]
plain = plain_station


def test_a_camera_that_is_lost_while_its_frame_is_awaited(plain: StationSettings) -> None:
    top, side = Camera("top"), Camera("side")
    side.answers = lambda: lost("side")
    with running(two_cameras(plain), {"top": top, "side": side}) as station:
        station.trigger()
        top.level = 200
        station.trigger()
        good, anomalous = station.verdicts(2)
    # What the other camera saw still counts.
    assert (good.status, anomalous.status) == ("unreliable", "anomalous")
    for part in (good, anomalous):
        assert not part.passed
        assert part.code is ErrorCode.CAMERA_LOST
        head, foot = part.inspections
        assert head.result is not None
        assert (foot.result, foot.error, foot.code) == (
            None,
            "Camera side is gone.",
            ErrorCode.CAMERA_LOST,
        )
    assert good.score == 1.0


def test_a_frame_that_does_not_come_ends_the_wait_after_the_cameras_time(plain: StationSettings) -> None:
    camera = Camera()
    camera.answers = None
    settings = replace(plain, cameras={"top": replace(plain.cameras["top"], timeout_ms=150.0)})
    with running(settings, {"top": camera}) as station:
        for _ in range(3):
            station.trigger()
        parts = station.verdicts(3)
        camera.answers = lambda: frame()
        station.trigger()
        assert station.verdicts(4)[3].passed
    assert [part.code for part in parts[:3]] == [ErrorCode.NO_FRAME] * 3
    assert [part.status for part in parts[:3]] == ["unreliable"] * 3
    assert all(part.latency_ms >= 150 for part in parts[:3])
    # The time runs from the trigger: parts that waited behind the first do not wait as long again.
    waited = [request.waited[0] for request in camera.requests]
    assert 0 < waited[0] <= 0.15
    assert waited[0] > waited[1] >= 0
    [inspection] = parts[0].inspections
    assert inspection.error == "Camera top delivered no frame within 150 ms of the trigger."


def test_a_lost_camera_makes_the_station_not_ready_until_it_is_back(plain: StationSettings) -> None:
    top, side = Camera("top"), Camera("side")
    second = replace(two_cameras(plain).recipes[0], number=2, inspections=("foot",))
    settings = two_cameras(plain)
    settings = replace(settings, recipes=(replace(settings.recipes[0], inspections=("head",)), second))
    with running(settings, {"top": top, "side": side}) as station:
        side.problem = "unplugged"
        wait_until(lambda: station.desk.state().cameras == {"top": "", "side": "unplugged"}, "seen")
        assert station.desk.state().ready, "the recipe in force does not use it"
        top.problem = "no signal"
        wait_until(lambda: station.desk.state().fault, "the fault")
        state = station.desk.state()
        assert (state.ready, state.code, state.message) == (
            False,
            ErrorCode.CAMERA_LOST,
            "Camera top: no signal",
        )
        assert station.desk.trigger("modbus") is ErrorCode.NOT_READY
        station.desk.clear_error()
        assert station.desk.state().fault, "its cause has not gone"
        top.problem = ""
        station.trigger()
        assert station.verdicts(1)[0].passed
        assert not station.desk.state().fault


def test_a_camera_that_cannot_be_opened_is_tried_until_it_can(
    plain: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("dmdd_edge.runtime.station.camera_room._RETRY", 0.01)
    camera, said = Camera(), list[str]()
    camera.refuses_to_open = "There is no camera 7."
    with opened(plain, {"top": camera}, say=said.append) as station:
        station.start()
        wait_until(lambda: station.desk.state().code is ErrorCode.CAMERA_LOST, "the fault")
        assert station.desk.trigger("modbus") is ErrorCode.NOT_READY
        camera.refuses_to_open = ""
        station.trigger()
        assert station.verdicts(1)[0].passed
    assert said.count("Camera top cannot be opened, and is tried again: There is no camera 7.") == 1
    assert "Camera top is open." in said
    assert (camera.opened, camera.stops > 0) == (1, True)


def test_a_late_verdict_does_not_pass_and_three_in_a_row_are_a_fault(plain: StationSettings) -> None:
    settings = replace(plain, deadline_ms=20_000.0)
    with running(settings, {"top": Camera()}) as station:

        def part(late: bool) -> PartResult:
            before = len(station.notes.parts)
            station.trigger(since=time.perf_counter() - 30 if late else None)
            return station.verdicts(before + 1)[before]

        late = [part(late=True), part(late=True)]
        assert [(each.status, each.late, each.passed) for each in late] == [("good", True, False)] * 2
        assert not station.desk.state().fault
        assert part(late=False).passed
        for _ in range(2):
            part(late=True)
        assert not station.desk.state().fault, "the one in time ended the row"
        part(late=True)
        state = station.desk.state()
        assert (state.fault, state.code, state.late) == (True, ErrorCode.LATE, 5)
        assert part(late=False).passed
        assert not station.desk.state().fault
        for _ in range(3):
            part(late=True)
        station.desk.clear_error()
        assert not station.desk.state().fault


class Failing(OnnxRuntimeCpu):
    """A backend that fails as often as it is told, from its second batch on."""

    failures = 0

    def submit(self, images: NDArray[np.uint8]) -> Any:
        self._fail()
        return super().submit(images)

    def infer(self, images: NDArray[np.uint8]) -> Any:
        self._fail()
        return super().infer(images)

    def _fail(self) -> None:
        if Failing.failures:
            Failing.failures -= 1
            raise BackendError("The device is gone.")


@pytest.fixture
def failing(monkeypatch: pytest.MonkeyPatch) -> type[Failing]:
    """The backend of every bundle that is loaded."""
    monkeypatch.setattr("dmdd_edge.runtime.backends.selection.OnnxRuntimeCpu", Failing)
    monkeypatch.setattr(engines, "_TEST_PAUSE", 0.0)
    monkeypatch.setattr(Failing, "failures", 0)
    return Failing


def test_a_graph_that_fails_once_costs_the_parts_it_had(
    plain: StationSettings, failing: type[Failing]
) -> None:
    said: list[str] = []
    with running(plain, {"top": Camera()}, say=said.append) as station:
        failing.failures = 1
        station.trigger()
        failed = station.verdicts(1)[0]
        station.trigger(3)
        parts = station.verdicts(4)
        assert not station.desk.state().fault
        assert ErrorCode.GRAPH_FAILED in {state.code for state in station.notes.states}
        failing.failures = 2  # the part, and the first test afterwards
        station.trigger()
        station.verdicts(5)
        station.trigger()
        assert station.verdicts(6)[5].passed
    assert (failed.status, failed.code, failed.passed) == ("unreliable", ErrorCode.GRAPH_FAILED, False)
    assert failed.inspections[0].error == "The device is gone."
    assert [part.passed for part in parts] == [False, True, True, True, False, True]
    assert [part.trigger.acquisition_id for part in parts] == [1, 2, 3, 4, 5, 6]
    assert said.count("The graph works again.") == 2


def test_parts_that_wait_while_the_graph_fails_are_decided_afterwards(
    plain: StationSettings, failing: type[Failing]
) -> None:
    camera = Camera()
    camera.answers = None
    with running(plain, {"top": camera}) as station:
        for _ in range(5):
            station.desk.trigger("modbus")
        failing.failures = 1
        for request in list(camera.requests)[:2]:
            request.give(frame())
        wait_until(lambda: len(station.notes.parts) >= 1, "the failure")
        for request in camera.requests:
            request.give(frame())
        parts = station.verdicts(5)
    assert [part.trigger.acquisition_id for part in parts] == [1, 2, 3, 4, 5]
    assert parts[0].code is ErrorCode.GRAPH_FAILED
    # One or two more were on their way; those that nothing had touched must not suffer.
    assert [part.passed for part in parts[3:]] == [True, True]


def test_a_graph_that_stays_lost_ends_the_station_with_every_part_answered(
    plain: StationSettings, failing: type[Failing]
) -> None:
    camera = Camera()
    camera.answers = None
    with running(plain, {"top": camera}) as station:
        for _ in range(4):
            station.desk.trigger("modbus")
        failing.failures = 1000
        for request in camera.requests:
            request.give(frame())
        wait_until(lambda: station.error is not None, "the end")
    assert isinstance(station.error, BackendError)
    assert station.error.message == (
        "The graph failed 3 times in a row, the last time with: The device is gone."
    )
    assert [part.trigger.acquisition_id for part in station.notes.parts] == [1, 2, 3, 4]
    assert not any(part.passed for part in station.notes.parts)
    assert station.notes.heard[-1] == "close"
    assert camera.stops


def test_an_observer_that_fails_is_a_fault_and_the_others_hear_on(plain: StationSettings) -> None:
    class Broken(Notes):
        def part(self, part: PartResult) -> None:
            raise OSError("no such line")

    notes = Notes()
    with running(plain, {"top": Camera()}) as station:
        station.desk.events.observe(Broken())
        station.desk.events.observe(notes)
        station.trigger(2)
        wait_until(lambda: len(notes.parts) == 2, "the other one")
        state = station.desk.state()
        assert (state.fault, state.code) == (True, ErrorCode.OUTPUT_FAILED)
        assert state.message == "Broken failed: OSError: no such line."
        station.desk.clear_error()
        assert not station.desk.state().fault


def test_a_stuck_graph_is_not_alive(
    plain: StationSettings, failing: type[Failing], monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()
    with running(plain, {"top": Camera()}) as station:
        assert station.engine.alive()
        monkeypatch.setattr(failing, "_fail", lambda self: gate.wait(60))
        station.engine._stuck_after = 0.05
        station.trigger()
        wait_until(lambda: not station.engine.alive(), "stuck")
        gate.set()
        station.verdicts(1)
        assert station.engine.alive()


def test_an_observer_that_hangs_makes_the_station_not_ready(
    plain: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    gate = threading.Event()

    class Hanging(Notes):
        def part(self, part: PartResult) -> None:
            gate.wait(60)

    monkeypatch.setattr(events, "STUCK_SECONDS", 0.05)
    with running(plain, {"top": Camera()}) as station:
        station.desk.events.observe(Hanging())
        station.trigger()
        wait_until(lambda: station.desk.state().code is ErrorCode.OUTPUT_FAILED, "the fault")
        assert station.desk.state().message == "Hanging has not returned for 0.05 s."
        assert station.desk.trigger("modbus") is ErrorCode.NOT_READY
        assert not station.engine.alive()
        gate.set()
        station.trigger()
        wait_until(lambda: not station.desk.state().fault, "the fault goes")


def test_a_mistake_in_the_loop_costs_its_parts_and_not_the_station(
    plain: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    decide = Detector.decide
    mistakes = iter([True, False])

    def mistaken(self: Detector, inferred: Inferred) -> list[Result]:
        if next(mistakes, False):
            raise ZeroDivisionError("a bug")
        return decide(self, inferred)

    monkeypatch.setattr(Detector, "decide", mistaken)
    with running(plain, {"top": Camera()}) as station:
        station.trigger()
        station.verdicts(1)
        station.trigger()
        first, second = station.verdicts(2)
    assert (first.code, first.passed) == (ErrorCode.INTERNAL, False)
    assert first.inspections[0].error == "ZeroDivisionError: a bug."
    assert second.passed


def test_what_stop_raises_ends_the_station_and_reaches_the_caller(plain: StationSettings) -> None:
    calls: list[float] = []

    def stop() -> bool:
        calls.append(0)
        if len(calls) > 5:
            raise KeyError("the caller's")
        return False

    with opened(plain, {"top": Camera()}) as station:
        with pytest.raises(KeyError, match="the caller's"):
            station.engine.run(stop)
        assert not station.desk.state().online


def test_a_part_without_any_inspection_is_not_good(make_bundle: Make, tmp_path: Path) -> None:
    make_bundle("screw")
    settings = station_settings(tmp_path, {"head": "screw"}, {1: []})
    with running(settings, {"top": Camera()}) as station:
        station.trigger()
        part = station.verdicts(1)[0]
    assert (part.status, part.passed, part.score) == ("unreliable", False, 1.0)
