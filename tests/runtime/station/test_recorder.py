"""Results of a station on their way to files: lines of parts, and sinks that are slow, full or broken."""

from __future__ import annotations

import errno
import json
import os
import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import line_file
from dmdd_edge.runtime.sinks.csv_file import CsvFile
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.json_lines import JsonLinesFile
from dmdd_edge.runtime.station import recorder
from dmdd_edge.runtime.station.model import ErrorCode
from dmdd_edge.runtime.station.recorder import Recorder
from dmdd_edge.runtime.station.settings import StationSettings
from dmdd_edge.runtime.summary import Summary
from tests.runtime.station.constant_bundles import station_settings
from tests.runtime.station.running import Answer, Camera, frame, lost, opened, running, wait_until

Make = Callable[..., Bundle]
LIVE = FileOptions(live=True, existing="append")


@pytest.fixture
def plain(make_bundle: Make, tmp_path: Path) -> StationSettings:
    make_bundle("screw")
    return station_settings(
        tmp_path, {"head": {"category": "screw", "region": (8, 8, 32, 32)}}, {1: ["head"]}
    )


class Pictures:
    """A sink of frames that waits for ``gate``, and fails when told so."""

    def __init__(self) -> None:
        self.events: list[str] = []
        self.gate = threading.Event()
        self.gate.set()
        self.fails = ""

    def result(self, frame: Frame, result: Result) -> None:
        self.gate.wait(60)
        if self.fails:
            raise DmddError(self.fails)
        assert frame.image.shape == (32, 32, 3)
        self.events.append(f"{frame.source} {frame.index} {result.status}")

    def broken(self, frame: BrokenFrame) -> None:
        self.events.append(f"{frame.source} {frame.index} broken")

    def summary(self, summary: Summary) -> None:
        self.events.append(f"summary of {summary.frames}")

    def close(self) -> None:
        self.events.append("close")


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_part_is_one_line_and_its_frames_reach_the_other_sinks(
    plain: StationSettings, tmp_path: Path
) -> None:
    camera, pictures = Camera(), Pictures()
    answers: Iterator[Answer] = iter([frame(200), lost("top")])
    camera.answers = lambda: next(answers)
    sinks = [pictures, JsonLinesFile(tmp_path / "r.jsonl", LIVE), CsvFile(tmp_path / "r.csv", LIVE)]
    with opened(plain, {"top": camera}, sinks) as station:
        station.desk.trigger("gpio", part_id=5)
        station.start()
        station.trigger(part_id=77, encoder=1234)
        station.trigger()
        station.verdicts(2)
    missed, first, second, summary = lines(tmp_path / "r.jsonl")
    assert first.pop("latency_ms") > 0
    assert first.pop("time").endswith("Z")
    head = first["inspections"].pop("head")
    assert first == {
        "type": "part",
        "part_id": 77,
        "acquisition_id": 1,
        "recipe": 1,
        "recipe_name": "product 1",
        "status": "anomalous",
        "late": False,
        "passed": False,
        "origin": "modbus",
        "score": pytest.approx((200 / 255 - 0.5) / 0.5 * 0.5 + 0.5),
        "inspections": {},
        "encoder": 1234,
    }
    assert (head["camera"], head["region"], head["status"]) == ("top", [8, 8, 32, 32], "anomalous")
    assert head["score"] == pytest.approx(200 / 255)
    [region] = head["regions"]
    assert (region["x"], region["y"], region["width"], region["height"]) == (0, 0, 32, 32)
    assert (second["status"], second["error_code"], second["part_id"]) == ("unreliable", 5, 2)
    assert second["inspections"]["head"] == {
        "camera": "top",
        "region": [8, 8, 32, 32],
        "status": "unreliable",
        "error": "Camera top is gone.",
        "error_code": 5,
    }
    assert missed.pop("time").endswith("Z")
    assert missed == {
        "type": "missed",
        "part_id": 5,
        "origin": "gpio",
        "error_code": 1,
        "error": "not ready",
    }
    assert summary["type"] == "summary"
    assert pictures.events == ["head 1 anomalous", "head 2 broken", "summary of 1", "close"]
    rows = (tmp_path / "r.csv").read_text().splitlines()
    assert [row.split(",")[:3] for row in rows[1:]] == [["head", "1", "anomalous"], ["head", "2", "error"]]


def test_a_sink_that_hangs_makes_no_verdict_late_and_costs_images_before_lines(
    plain: StationSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_WITH_IMAGES", 2)
    said: list[str] = []
    pictures = Pictures()
    pictures.gate.clear()
    sinks = [pictures, JsonLinesFile(tmp_path / "r.jsonl", LIVE), CsvFile(tmp_path / "r.csv", LIVE)]
    with running(plain, {"top": Camera()}, sinks, say=said.append) as station:
        for _ in range(10):
            station.trigger()
        assert all(part.passed for part in station.verdicts(10))
        assert not lines(tmp_path / "r.jsonl")
        pictures.gate.set()
        station.stop()
    assert [line["acquisition_id"] for line in lines(tmp_path / "r.jsonl")[:10]] == list(range(1, 11))
    assert len((tmp_path / "r.csv").read_text().splitlines()) == 11
    with_images = len(pictures.events) - 2
    assert 2 <= with_images <= 3, "two that waited, and one that was being written"
    assert f"The images of {10 - with_images} parts were not written: the sinks are too slow." in said


def test_lines_beyond_the_bound_are_counted_and_a_fault() -> None:
    said: list[str] = []
    pictures = Pictures()
    pictures.gate.clear()

    class Lines(Pictures):
        def line(self, fields: dict[str, Any]) -> None:
            pictures.gate.wait(60)
            self.events.append(fields["name"])

    sink = Lines()
    made = Recorder([sink], said.append)
    made.put({"name": "first"})
    wait_until(lambda: not made._waiting, "the first is being written")
    for number in range(recorder._ROOM + 3):
        made.put({"name": f"{number}"})
    assert made.problem == "The sinks are too slow; 3 results are lost."
    pictures.gate.set()
    made.close(None)
    assert made.problem == ""
    assert sink.events == ["first", *map(str, range(recorder._ROOM)), "close"]
    assert said == [
        f"{recorder._ROOM} results wait for the sinks; new ones are lost until there is room.",
        "3 results were not written: the sinks are too slow.",
    ]


def test_a_sink_that_fails_is_a_fault_until_it_writes_again(plain: StationSettings) -> None:
    said: list[str] = []
    broken, well = Pictures(), Pictures()
    broken.fails = "The volume is gone."
    with running(plain, {"top": Camera()}, [broken, well], say=said.append) as station:
        station.trigger(2)
        station.verdicts(2)
        wait_until(lambda: station.desk.state().fault, "the fault")
        state = station.desk.state()
        assert (state.code, state.ready) == (ErrorCode.RESULTS_LOST, True)
        assert state.message == "Results are not written to Pictures: The volume is gone."
        broken.fails = ""
        station.trigger()
        wait_until(lambda: not station.desk.state().fault, "it writes again")
    assert broken.events == ["head 3 good", "summary of 3", "close"]
    assert well.events == ["head 1 good", "head 2 good", "head 3 good", "summary of 3", "close"]
    assert said.count("Results are not written to Pictures: The volume is gone.") == 1


def test_a_full_disk_is_a_fault_and_loses_no_line(
    plain: StationSettings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(line_file, "RETRY", 0.01)
    monkeypatch.setattr(recorder, "RETRY", 0.01)
    full = threading.Event()
    append = Appender.append

    def appended(self: Appender, data: bytes) -> None:
        if full.is_set():
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        append(self, data)

    monkeypatch.setattr(Appender, "append", appended)
    path = tmp_path / "r.jsonl"
    settings = replace(plain, queue=64)
    with running(settings, {"top": Camera()}, [JsonLinesFile(path, LIVE)]) as station:
        full.set()
        station.trigger(5)
        assert all(part.passed for part in station.verdicts(5)), "judged good is judged good"
        wait_until(lambda: station.desk.state().code is ErrorCode.RESULTS_LOST, "the fault")
        assert station.desk.state().message == f"{path} cannot be written."
        full.clear()
        wait_until(lambda: not station.desk.state().fault, "without another part")
        assert [line["acquisition_id"] for line in lines(path)] == [1, 2, 3, 4, 5]


def test_a_sink_that_hangs_is_a_fault_until_it_goes_on(
    plain: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(recorder, "_STUCK_SECONDS", 0.3)
    said: list[str] = []
    pictures = Pictures()
    pictures.gate.clear()
    with running(plain, {"top": Camera()}, [pictures], say=said.append) as station:
        station.trigger()
        wait_until(lambda: station.desk.state().fault, "the fault")
        message = "Results wait: Pictures has not answered for 0.3 s."
        assert (station.desk.state().code, station.desk.state().message) == (ErrorCode.RESULTS_LOST, message)
        pictures.gate.set()
        wait_until(lambda: not station.desk.state().fault, "it goes on")
    assert [line for line in said if line.startswith("Results")] == [
        message, "Results are written again.",
    ]  # fmt: skip
    assert pictures.events == ["head 1 good", "summary of 1", "close"]


def test_what_waits_for_a_sink_that_still_hangs_at_the_end_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(recorder, "_LEAVE_SECONDS", 0.1)
    said: list[str] = []
    gate = threading.Event()

    class Lines(Pictures):
        def line(self, fields: dict[str, Any]) -> None:
            gate.wait(60)

    made = Recorder([Lines()], said.append)
    made.put({"name": "first"})
    wait_until(lambda: not made._waiting, "the first is being written")
    made.put({"name": "second"})
    made.put({"name": "third"})
    made.close(None)
    gate.set()
    assert said == [
        "Lines did not finish; its last result may be lost.",
        "2 results were not written: the sinks are too slow.",
    ]


def test_images_that_nobody_writes_are_not_called_left_out() -> None:
    said: list[str] = []
    gate = threading.Event()

    class Lines(Pictures):
        def line(self, fields: dict[str, Any]) -> None:
            gate.wait(60)

    made = Recorder([Lines()], said.append)
    for number in range(recorder._WITH_IMAGES + 5):
        made.put({"name": f"{number}"}, [lost("top")])
    gate.set()
    made.close(None)
    assert said == []
