"""The engine with the cameras of a station, on drawn images: fired, leading and following, free."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.station.cameras import Camera
from dmdd_edge.runtime.station.counters import Counters
from dmdd_edge.runtime.station.engine import StationEngine
from dmdd_edge.runtime.station.model import ErrorCode, TriggerMode
from dmdd_edge.runtime.station.settings import CameraSettings, StationSettings
from tests.runtime.station.constant_bundles import station_settings
from tests.runtime.station.running import Running, wait_until

Make = Callable[..., Bundle]


@pytest.fixture
def settings(make_bundle: Make, tmp_path: Path) -> StationSettings:
    """Inspections of two cameras, ``top`` and ``side``, with one bundle."""
    make_bundle("screw")
    one = station_settings(tmp_path, {"head": "screw", "foot": "screw"}, {1: ["head", "foot"]})
    foot = replace(one.inspections["foot"], camera="side")
    return replace(one, inspections={**one.inspections, "foot": foot})


def with_cameras(settings: StationSettings, top: TriggerMode, side: TriggerMode) -> StationSettings:
    # At a rate where the camera runs by itself; else it shows an image whenever it is fired.
    source = "drawn:?size=64&fps=50" if top == "free" else "drawn:?size=64"
    cameras = {
        name: CameraSettings(name=name, source=source, trigger=mode, timeout_ms=20_000.0, match_ms=10_000.0)
        for name, mode in {"top": top, "side": side}.items()
    }
    return replace(settings, cameras=cameras)


@contextmanager
def running(settings: StationSettings) -> Iterator[tuple[Running, dict[str, Camera]]]:
    cameras = {name: Camera(camera) for name, camera in settings.cameras.items()}
    with closing(Counters(settings.state_dir, print)) as counters:
        station = Running(StationEngine(settings, cameras, counters))
        station.start()
        try:
            station.ready()
            yield station, cameras
        finally:
            station.stop()


@pytest.mark.parametrize("mode", ["newest", "software"])
def test_each_trigger_takes_one_frame_of_every_camera(settings: StationSettings, mode: TriggerMode) -> None:
    with running(with_cameras(settings, mode, mode)) as (station, cameras):
        for number in range(20):
            station.trigger(part_id=100 + number)
        parts = station.verdicts(20)
        frames = {name: camera.state().frames for name, camera in cameras.items()}
    assert [part.trigger.part_id for part in parts] == list(range(100, 120))
    assert frames == {"top": 20, "side": 20}
    for part in parts:
        results = [inspection.result for inspection in part.inspections]
        assert [result is not None and result.status != "unreliable" for result in results] == [True, True]
    assert station.notes.misses == []


def test_a_camera_that_leads_begins_each_part_and_the_other_one_follows(settings: StationSettings) -> None:
    """The second camera once: how close its frames must come depends on the time between two parts."""
    alone = replace(settings.recipes[0], number=2, inspections=("head",))
    both = replace(settings, recipes=(*settings.recipes, alone))
    with running(with_cameras(both, "camera", "camera")) as (station, cameras):
        cameras["top"].fire()
        cameras["side"].fire()
        [part] = station.verdicts(1)
        assert [inspection.result is not None for inspection in part.inspections] == [True, True]
        assert station.desk.trigger("modbus") is ErrorCode.NOT_READY
        station.desk.request_recipe(2)
        wait_until(lambda: station.desk.state().recipe == 2, "the recipe")
        for number in range(2, 12):
            station.ready()
            cameras["top"].fire()
            station.verdicts(number)
        parts = station.notes.parts
    assert [part.trigger.acquisition_id for part in parts] == list(range(1, 12))
    assert [part.code for part in parts] == [ErrorCode.NONE] * 11
    assert {part.trigger.origin for part in parts} == {"camera"}


def test_a_free_camera_runs_by_itself(settings: StationSettings) -> None:
    with running(with_cameras(settings, "free", "newest")) as (station, _):
        parts = list(station.verdicts(15))
        wait_until(lambda: station.desk.state().parts > 15, "it continues")
    assert {part.trigger.origin for part in parts} == {"free"}
    assert [part.code for part in parts] == [ErrorCode.NONE] * 15
    times = [part.trigger.time for part in parts]
    assert times == sorted(times)
    assert len(set(times)) == 15, "a frame is not looked at twice"
    assert station.notes.misses == []
