"""The drift watch of a station: one per inspection, its lines, messages, page, metrics, restart."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.drift import state_file
from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.result import FrameLook, Result
from dmdd_edge.runtime.station import assembly, drift
from dmdd_edge.runtime.station.drift import StationDrift
from dmdd_edge.runtime.station.model import InspectionResult, PartResult, Trigger
from dmdd_edge.runtime.station.settings import StationSettings
from tests.docs import pages
from tests.runtime.delivery.delivery_broker import Broker, Listener, free_port
from tests.runtime.station.assembled import assembled, lines_of
from tests.runtime.station.constant_bundles import station_settings
from tests.runtime.station.running import Camera, wait_until

Make = Callable[..., Bundle]
TEXT = """\
[cameras.top]
source = "0"
[cameras.side]
source = "1"
[inspections.lid]
camera = "top"
category = "screw"
backend = "cpu"
[inspections.seal]
camera = "side"
category = "screw"
backend = "cpu"
[plc.modbus]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "line1.jsonl"
mqtt = "mqtt://127.0.0.1:{broker}/line1"
serve = "127.0.0.1:0"
"""


class Lit(Camera):
    """A camera that sees noise at a level, which the test changes."""

    def __init__(self, name: str, seed: int) -> None:
        super().__init__(name)
        self.level = 60
        self._random = np.random.default_rng(seed)
        self.answers = self._seen

    def _seen(self) -> Frame:
        level = self.level + self._random.normal()
        image = np.clip(self._random.normal(level, 6, (64, 64, 3)), 0, 255).astype(np.uint8)
        return Frame(image, self.name, f"{self.asked}", self.asked, 1.7e9 + self.asked)


@pytest.fixture
def broker(tmp_path: Path) -> Iterator[Broker]:
    (tmp_path / "broker").mkdir()
    made = Broker(tmp_path / "broker")
    yield made
    made.stop()


@pytest.mark.slow
def test_another_light_is_told_everywhere_and_what_was_learned_survives_a_restart(
    make_bundle: Make, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broker: Broker
) -> None:
    make_bundle()
    cameras = {name: Lit(name, seed) for seed, name in enumerate(("top", "side"))}
    monkeypatch.setattr(assembly, "station_cameras", lambda settings, say: cameras)
    text = TEXT.format(port=free_port(), broker=broker.port)
    with closing(Listener(broker.port)) as listener:
        with assembled(tmp_path, text) as running:
            running.trigger(460)
            state = running.ask("/api/state").json
            assert state["drift"] == []
            assert [each["drift"]["learning"] for each in state["inspections"]] == [False, False]
        kept = json.loads((tmp_path / "line1.state" / "drift.json").read_text())
        assert set(kept["inspections"]) == {"lid", "seal"}
        cameras["top"].level = 45
        with assembled(tmp_path, text) as running:
            running.trigger(1)
            running.trigger(260)

            def shown() -> list[str]:
                return [each for each in running.ask("/api/state").json["drift"] if " light " in each]

            wait_until(lambda: bool(shown()))
            (message,) = shown()
            assert re.match(r"lid: The light is 2\d % lower since frame 4[4-8]\d \(", message)
            top, side = running.ask("/api/state").json["inspections"]
            assert (top["drift"]["cause"], side["drift"]["cause"]) == ("light", None)
            text = running.ask("/metrics").body.decode()
            light = 'dmdd_edge_drift{camera="%s",inspection="%s",measure="light"} %s'
            assert light % ("top", "lid", "1.0") in text
            assert light % ("side", "seal", "0.0") in text
            assert 'dmdd_edge_drift_learning{camera="top",inspection="lid"} 0.0' in text
            page = pages.text(pages.ROOT / "docs" / "reference" / "formats.md")
            names = set(re.findall(r"^# TYPE dmdd_edge_(\w+) ", text, re.MULTILINE))
            assert len(names) > 20
            assert [name for name in names if not re.search(rf"`{name}[`{{]", page)] == []
        written = lines_of(tmp_path / "line1.jsonl", "drift")
        wait_until(lambda: len(drifts(listener)) == len(written))
        sent = drifts(listener)
    assert [line["inspection"] for line in written if line["event"] == "baseline"] == ["lid", "seal"]
    for lines in (written, sent):
        warnings = [line for line in lines if line["event"] == "warning"]
        assert {line["inspection"] for line in warnings} == {"lid"}
        (light_line,) = (line for line in warnings if line["measure"] == "light")
        assert (light_line["camera"], light_line["direction"]) == ("top", "down")
        # The frames of the second run follow those of the first: the index is the acquisition id.
        assert light_line["since"]["index"] == pytest.approx(461, abs=20)
        assert "dmdd-edge calibrate --category screw" in light_line["fix"]
    assert {line["station"] for line in sent} == {"line1"}
    assert [line for line in running.said if line.startswith("drift of lid: The light is")]
    assert running.summary is not None
    assert running.summary.drift["lid"]["cause"] == "light"


def drifts(listener: Listener) -> list[dict[str, Any]]:
    """The messages of type drift."""
    found = [json.loads(body) for _, body, _ in list(listener.received) if body.startswith(b"{")]
    return [message for message in found if message["type"] == "drift"]


@pytest.fixture
def settings(tmp_path: Path) -> StationSettings:
    """A station whose second recipe has another inspection."""
    made = station_settings(tmp_path, {"lid": "screw", "seal": "screw"}, {1: ["lid"], 2: ["seal"]})
    made.state_dir.mkdir()
    return made


def part(number: int, *names: str, light: float = 100.0) -> PartResult:
    """A good part."""
    noise = np.random.default_rng(number).standard_normal(5)
    look = FrameLook(
        light + 2 * noise[0], 1.5 + 0.05 * noise[1], 0.5 + 0.01 * noise[2], 0.5 + 0.01 * noise[3]
    )
    result = Result(
        "top", number, "good", 1.7e9 + number, 0.3 + 0.01 * noise[4], 0.3, 0.5, False,
        np.zeros((2, 2), np.float32), version="v", look=look,
    )  # fmt: skip
    found = tuple(InspectionResult(name, "top", None, result) for name in names)
    return PartResult(Trigger(number, number, 1, "modbus", 0.0, 0.0), "product", "good", False, found, 1.0)


def test_an_inspection_that_is_not_in_force_keeps_what_it_has_learned(settings: StationSettings) -> None:
    def watch() -> StationDrift:
        return StationDrift(settings, lambda: None, print)

    with closing(watch()) as first:
        for number in range(450):
            first.part(part(number, "lid", "seal"))
    with closing(watch()) as second:  # only the first recipe
        for number in range(450, 460):
            second.part(part(number, "lid"))
    with closing(watch()) as third:
        third.part(part(460, "lid", "seal"))
        report = third.report()
    assert {name: (each["frames"], each["learning"]) for name, each in report.items()} == {
        "lid": (461, False),
        "seal": (451, False),
    }


def test_a_disk_that_hangs_holds_up_no_verdict(
    settings: StationSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, hangs = threading.Event(), threading.Event()

    def written(path: Path, text: str) -> None:
        begun.set()
        hangs.wait(60)

    monkeypatch.setattr(state_file, "write_atomically", written)
    monkeypatch.setattr(state_file, "_PAUSE", 0.0)
    monkeypatch.setattr(drift, "_LOOK_SECONDS", 0.001)
    monkeypatch.setattr(drift, "_LEAVE_SECONDS", 0.1)
    said: list[str] = []
    watch = StationDrift(settings, lambda: None, said.append)
    try:
        assert begun.wait(60)
        watch.part(part(1, "lid"))  # returns
        assert watch.report()["lid"]["frames"] == 1
        watch.close()
        assert said == ["The drift watch cannot keep what it learned: the disk of state_dir does not answer."]
    finally:
        hangs.set()
