"""A station from trigger to verdict: numbers, counts, refusals, recipes, regions, cameras that begin."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.runtime.station.leaders import leaders
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.settings import CameraSettings, StationSettings
from dmdd_edge.runtime.steps import Prepared
from tests.runtime.station.constant_bundles import constant_graph, station_settings
from tests.runtime.station.running import Camera, frame, opened, picture, running, wait_until

Make = Callable[..., Bundle]


@pytest.fixture
def plain(make_bundle: Make, tmp_path: Path) -> StationSettings:
    """One camera, one inspection, one recipe; the score is the blue of the picture, the threshold 0.5."""
    make_bundle("screw")
    return station_settings(tmp_path, {"head": "screw"}, {1: ["head"]})


def two_cameras(settings: StationSettings, **modes: Any) -> StationSettings:
    """Inspections ``head`` on camera ``top`` and ``foot`` on ``side``."""
    cameras = {
        name: CameraSettings(name=name, source="0", trigger=modes.get(name, "newest"))
        for name in ("top", "side")
    }
    foot = replace(settings.inspections["head"], name="foot", camera="side")
    recipe = replace(settings.recipes[0], inspections=("head", "foot"))
    inspections = {**settings.inspections, "foot": foot}
    return replace(settings, cameras=cameras, inspections=inspections, recipes=(recipe,))


def test_every_trigger_has_one_verdict_in_order_with_its_part_number(plain: StationSettings) -> None:
    camera = Camera()
    levels = iter([30, 200, 30, 90] * 25)
    camera.answers = lambda: frame(next(levels))
    with running(plain, {"top": camera}) as station:
        for number in range(100):
            station.trigger(part_id=9000 + number, encoder=number)
        parts = list(station.verdicts(100))
        state = station.desk.state()
        summary = station.stop()
    assert [part.trigger.acquisition_id for part in parts] == list(range(1, 101))
    assert [part.trigger.part_id for part in parts] == list(range(9000, 9100))
    assert [part.trigger.encoder for part in parts] == list(range(100))
    assert [part.status for part in parts] == ["good", "anomalous", "good", "good"] * 25
    assert [part.passed for part in parts] == [True, False, True, True] * 25
    assert {part.recipe_name for part in parts} == {"product 1"}
    assert (state.parts, state.passed, state.anomalous, state.missed) == (100, 75, 25, 0)
    assert summary is not None
    assert (summary.frames, summary.anomalous, summary.backend) == (100, 25, "cpu")
    assert station.notes.heard[-2:] == ["part 100", "close"]
    assert (station.notes.states[-1].online, station.notes.states[-1].ready) == (False, False)
    assert all(0 < part.latency_ms < 60_000 for part in parts)


def test_a_station_that_is_started_again_continues_its_numbers_and_its_recipe(
    make_bundle: Make, tmp_path: Path
) -> None:
    make_bundle("screw")
    settings = station_settings(tmp_path, {"head": "screw"}, {1: ["head"], 2: ["head"]})
    with running(settings, {"top": Camera()}) as station:
        assert station.desk.state().recipe == 1
        before = station.trigger(5)
        station.desk.request_recipe(2)
        wait_until(lambda: station.desk.state().recipe == 2, "the recipe")
        station.verdicts(5)
    with running(settings, {"top": Camera()}) as station:
        after = station.trigger(2)
        station.verdicts(2)
        state = station.desk.state()
    assert before == [1, 2, 3, 4, 5]
    assert 5 < after[0] < after[1]
    assert (state.recipe, state.parts, state.passed) == (2, 7, 7)


def test_an_overflow_is_counted_exactly_on_both_sides(plain: StationSettings) -> None:
    camera = Camera()
    camera.answers = None
    settings = replace(plain, queue=3, cameras={"top": replace(plain.cameras["top"], timeout_ms=60_000.0)})
    with running(settings, {"top": camera}) as station:
        first = station.desk.trigger("modbus", part_id=1)
        wait_until(lambda: not station.desk.waiting, "the feed took the first part")
        answers = [station.desk.trigger("modbus", part_id=number) for number in range(2, 12)]
        full = station.desk.state()
        assert [first, *answers] == [1, 2, 3, 4, *[ErrorCode.QUEUE_OVERFLOW] * 7]
        assert (full.ready, full.busy, full.queued, full.missed) == (False, True, 3, 7)
        assert (full.fault, full.code) == (True, ErrorCode.QUEUE_OVERFLOW)
        camera.answers = lambda: frame()
        for request in list(camera.requests):
            request.give(frame())
        parts = station.verdicts(4)
        wait_until(lambda: not station.desk.state().fault, "the fault goes when the queue is empty")
        assert station.trigger(part_id=20) == [5]
        station.verdicts(5)
    assert [part.trigger.part_id for part in parts] == [1, 2, 3, 4, 20]
    assert [missed.part_id for missed in station.notes.misses] == list(range(5, 12))
    assert {missed.code for missed in station.notes.misses} == {ErrorCode.QUEUE_OVERFLOW}
    assert camera.asked == 5, "a refused trigger must not fire the camera"
    state = station.desk.state()
    assert (state.parts, state.passed, state.missed) == (5, 5, 7)


def test_each_part_is_decided_by_the_recipe_in_force_at_its_trigger(
    make_bundle: Make, tmp_path: Path
) -> None:
    scores = {1: 0.125, 2: 0.75, 3: 0.25}
    for number, score in scores.items():
        make_bundle(f"product{number}", constant_graph(score))
    settings = station_settings(
        tmp_path,
        {f"look{number}": f"product{number}" for number in scores},
        {number: [f"look{number}"] for number in scores},
        keep_warm=2,
    )
    expected: dict[int, int] = {}
    with running(settings, {"top": Camera()}) as station:
        refused = 0
        for change in range(30):
            number = 1 + change % 3
            station.desk.request_recipe(number)
            # Triggers while the change is under way: refused, or accepted under either recipe.
            for _ in range(3):
                refused += isinstance(station.desk.trigger("modbus"), ErrorCode)
            wait_until(lambda number=number: station.desk.state().recipe == number, "the recipe")  # type: ignore[misc]
            for _ in range(3):
                expected[station.trigger()[0]] = number
        parts = list(station.verdicts(90 + 90 - refused))
        book: Any = station.engine.book
        wait_until(lambda: len(book.warm) <= 2, "recipes that are not kept are closed")
        assert [loaded._parts for loaded in book._loaded] == [0] * len(book._loaded), (
            "a part holds its recipe"
        )
    assert len(parts) + len(station.notes.misses) == 180
    assert [part.trigger.acquisition_id for part in parts] == list(range(1, len(parts) + 1))
    for part in parts:
        [inspection] = part.inspections
        assert inspection.result is not None
        assert inspection.result.score == pytest.approx(scores[part.trigger.recipe])
        assert inspection.name == f"look{part.trigger.recipe}"
        assert part.trigger.recipe == expected.get(part.trigger.acquisition_id, part.trigger.recipe)
    assert all(missed.code is ErrorCode.NOT_READY for missed in station.notes.misses)


def test_a_recipe_that_is_not_there_is_refused_and_the_one_in_force_stays(plain: StationSettings) -> None:
    with running(plain, {"top": Camera()}) as station:
        station.desk.request_recipe(7)
        wait_until(lambda: station.desk.state().code is ErrorCode.UNKNOWN_RECIPE, "the code")
        state = station.desk.state()
        assert (state.recipe, state.ready, state.fault) == (1, True, False)
        assert state.message == "There is no recipe 7 in line1.toml; there are 1."
        station.trigger()
        assert station.verdicts(1)[0].passed
        assert station.desk.state().code is ErrorCode.UNKNOWN_RECIPE, "a part says nothing about recipes"
        station.desk.clear_error()
        assert station.desk.state().code is ErrorCode.NONE


def test_no_trigger_is_accepted_before_the_start_and_after_the_end(plain: StationSettings) -> None:
    with opened(plain, {"top": Camera()}) as station:
        assert station.desk.trigger("page", part_id=3) is ErrorCode.NOT_READY
        assert not station.desk.state().online
        station.start()
        station.trigger()
        station.stop()
        assert station.desk.trigger("page", part_id=4) is ErrorCode.NOT_READY
    assert station.notes.heard == ["missed NOT_READY", "part 1", "close"]
    assert station.notes.misses[0].part_id == 3
    assert not any(state.ready for state in station.notes.states[-1:])


def test_a_stop_finishes_what_was_accepted(plain: StationSettings) -> None:
    camera = Camera()
    camera.answers = None
    with running(plain, {"top": camera}) as station:
        for _ in range(4):
            station.desk.trigger("modbus")
        station.ended.set()
        wait_until(lambda: not station.desk.state().ready, "the stop is seen")
        assert station.desk.trigger("modbus") is ErrorCode.NOT_READY
        for request in camera.requests:
            request.give(frame())
        station.stop()
    assert [part.passed for part in station.notes.parts] == [True] * 4
    assert station.notes.heard[-1] == "close"


def test_regions_of_one_bundle_are_one_batch_and_are_named(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make_bundle("screw")
    make_bundle("lid")
    inspections: dict[str, Any] = {
        "left": {"category": "screw", "region": (0, 0, 64, 64)},
        "cover": {"category": "lid"},
        "right": {"category": "screw", "region": (64, 0, 64, 64), "threshold": 0.9},
        "beyond": {"category": "screw", "region": (100, 0, 64, 64)},
    }
    settings = station_settings(tmp_path, inspections, {1: list(inspections)})
    batches: list[int] = []
    start = Detector.start

    def noted(self: Detector, prepared: Sequence[Prepared]) -> Any:
        batches.append(len(prepared))
        return start(self, prepared)

    camera = Camera()
    # Blue of 0.8 from x = 72 to 80: in the right region at x = 8, over the threshold of the lid alone.
    image = picture(204, (72, 16, 8, 24), (64, 128))
    camera.answers = lambda: replace(frame(), image=image)
    with running(settings, {"top": camera}) as station:
        monkeypatch.setattr(Detector, "start", noted)
        station.trigger()
        part = station.verdicts(1)[0]
    assert batches == [2, 1]
    left, cover, right, beyond = part.inspections
    assert [each.name for each in part.inspections] == list(inspections)
    assert left.result is not None
    assert left.result.score == pytest.approx(30 / 255)
    assert right.result is not None
    assert right.result.score == pytest.approx(0.8)
    assert (right.result.status, right.result.threshold) == ("good", 0.9)
    assert cover.result is not None
    assert cover.result.status == "anomalous"
    assert beyond.result is None
    assert beyond.code is ErrorCode.BROKEN_FRAME
    assert beyond.error == (
        "The region 100,0,64,64 of inspection beyond does not fit the frame of camera top, which is "
        "128 x 64 pixels."
    )
    assert (part.status, part.code, part.passed) == ("anomalous", ErrorCode.BROKEN_FRAME, False)


def test_every_frame_of_a_camera_that_begins_the_parts_is_one(plain: StationSettings) -> None:
    settings = two_cameras(plain, top="camera", side="camera")
    top, side = Camera("top", "camera"), Camera("side", "camera")
    with running(settings, {"top": top, "side": side}) as station:
        assert side.arrived is None, "the second camera follows"
        for level in (30, 200, 30):
            station.ready()
            top.fire(level)
        parts = station.verdicts(3)
        assert station.desk.trigger("modbus", part_id=5) is ErrorCode.NOT_READY, "the camera triggers"
        assert top.missed is not None
        top.missed(time.perf_counter(), ErrorCode.QUEUE_OVERFLOW)
        assert station.desk.state().code is ErrorCode.QUEUE_OVERFLOW
    assert [part.status for part in parts] == ["good", "anomalous", "good"]
    assert {part.trigger.origin for part in parts} == {"camera"}
    assert (top.asked, side.asked) == (0, 3)
    assert [missed.code.name for missed in station.notes.misses] == ["NOT_READY", "QUEUE_OVERFLOW"]


def test_a_free_camera_is_looked_at_when_the_graph_is_free(plain: StationSettings) -> None:
    settings = replace(plain, cameras={"top": CameraSettings(name="top", source="0", trigger="free")})
    camera = Camera(mode="free")
    with opened(settings, {"top": camera}) as station:
        camera.fire()
        station.start()
        station.ready()
        request = camera.fire(200)
        [part] = station.verdicts(1)
    assert station.notes.misses == [], "a free frame that comes too early is nobody's loss"
    assert request.waited
    assert (part.trigger.origin, part.status) == ("free", "anomalous")
    assert isinstance(request.answer, type(frame()))
    assert part.trigger.time == request.answer.time


def test_a_camera_cannot_begin_parts_and_follow_too(plain: StationSettings) -> None:
    settings = two_cameras(plain, top="camera", side="camera")
    second = replace(settings.recipes[0], number=2, inspections=("foot",))
    with pytest.raises(OptionError) as caught:
        leaders(replace(settings, recipes=(*settings.recipes, second)))
    assert caught.value.message == (
        "Camera side begins the parts of recipe 2, and follows another camera in recipe 1 of line1.toml."
    )
