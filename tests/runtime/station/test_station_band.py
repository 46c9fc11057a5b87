"""A whole station with a band: what the PLC, the counters, the page and the results say of a suspect part."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

import cv2
import pytest
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.station.plc.client import PlcClient
from tests.runtime.delivery.delivery_broker import free_port
from tests.runtime.station.assembled import assembled, lines_of
from tests.runtime.station.running import wait_until

Make = Callable[..., Bundle]
Picture = Callable[..., NDArray[Any]]

#: The graph's score is the largest blue / 255, the threshold 0.5: good, suspect (0.447), anomalous.
BLUE = (30, 114, 204)
TEXT = """\
[cameras.top]
source = "images:parts"
[inspections.lid]
category = "screw"
backend = "cpu"
suspect_threshold = 0.4
{more}
[plc.{protocol}]
host = "127.0.0.1"
port = {port}
[results]
jsonl = "line1.jsonl"
serve = "127.0.0.1:0"
"""
VERDICTS = ("Pass", "Fail", "Suspect", "Unreliable", "InBand")


@pytest.fixture
def parts(tmp_path: Path, make_bundle: Make, make_picture: Picture) -> Callable[..., None]:
    """Makes a bundle, and images for the camera, which shows them in turn."""
    make_bundle()
    (tmp_path / "parts").mkdir()

    def make(*blue: int) -> None:
        for number, level in enumerate(blue):
            cv2.imwrite(str(tmp_path / f"parts/{number}.png"), make_picture(patch=level))

    return make


def bits(plc: PlcClient, part_id: int) -> set[str]:
    """Trigger a part as a PLC does, and acknowledge its result; the bits of its verdict."""
    assert plc.wait_for(lambda status: bool(status["Ready"]), 60)
    plc.exchange(Trigger=1, PartID=part_id)
    assert plc.wait_for(lambda status: bool(status["ResultValid"]), 60)
    seen = {name for name in VERDICTS if plc.status[name]}
    plc.exchange(Trigger=0, ResultAck=1)
    assert plc.wait_for(lambda status: not status["ResultValid"], 60)
    assert not [name for name in VERDICTS if plc.status[name]]
    plc.exchange(ResultAck=0)
    return seen


@pytest.mark.parametrize("protocol", ["modbus", "opcua"])
def test_a_suspect_part_everywhere(
    protocol: Literal["modbus", "opcua"], parts: Callable[..., None], tmp_path: Path
) -> None:
    parts(*BLUE)
    port = free_port()
    with assembled(tmp_path, TEXT.format(more="", protocol=protocol, port=port)) as running:
        with PlcClient("127.0.0.1", port, protocol, timeout=20) as plc:
            found = [bits(plc, number) for number in (71, 72, 73)]
        assert found == [{"Pass"}, {"Suspect", "InBand"}, {"Fail"}]
        state = running.desk.state()
        assert (state.parts, state.passed, state.suspect, state.anomalous) == (3, 1, 1, 1)
        assert running.station.counters.inspections["lid"].suspect == 1
        page = running.ask("/api/state").json
        assert (page["counts"]["suspect"], page["counts"]["passed"]) == (1, 1)
        assert page["inspections"][0]["counts"]["suspect"] == 1
        assert page["inspections"][0]["suspect_threshold"] == 0.4
        assert page["recipes"][0]["suspect"] == 1
        text = running.ask("/metrics").body.decode()
        assert 'dmdd_edge_parts_total{recipe="1",status="suspect"} 1.0' in text
        assert 'dmdd_edge_parts_total{recipe="1",status="good"} 1.0' in text
        assert 'dmdd_edge_inspections_total{camera="top",inspection="lid",status="suspect"} 1.0' in text
    lines = lines_of(tmp_path / "line1.jsonl", "part")
    assert [(line["part_id"], line["status"], line["passed"]) for line in lines] == [
        (71, "good", True),
        (72, "suspect", False),
        (73, "anomalous", False),
    ]
    lid = lines[1]["inspections"]["lid"]
    assert (lid["status"], lid["suspect_threshold"]) == ("suspect", 0.4)
    assert lid["score"] == pytest.approx(114 / 255, abs=1e-5)
    (summary,) = lines_of(tmp_path / "line1.jsonl", "summary")
    assert {name: summary["parts"][name] for name in ("total", "passed", "suspect", "anomalous")} == {
        "total": 3,
        "passed": 1,
        "suspect": 1,
        "anomalous": 1,
    }


def test_an_inspection_counts_suspect_parts_as_it_is_told(parts: Callable[..., None], tmp_path: Path) -> None:
    parts(114)
    port = free_port()
    inspection = 'category = "screw"\nbackend = "cpu"\nsuspect_threshold = 0.4\nsuspect_as = '
    more = f'suspect_as = "good"\n[inspections.seal]\n{inspection}"anomalous"\n'
    for number, name in ((1, "lid"), (2, "seal")):
        more += f"[[recipes]]\nnumber = {number}\nname = {json.dumps(name)}\ninspections = [{name!r}]\n"
    with assembled(tmp_path, TEXT.format(more=more, protocol="modbus", port=port)) as running:
        with PlcClient("127.0.0.1", port, timeout=20) as plc:
            assert bits(plc, 1) == {"Pass"}
            running.desk.request_recipe(2)
            wait_until(lambda: running.desk.state().recipe == 2)
            assert bits(plc, 2) == {"Fail"}
        state = running.desk.state()
        assert (state.passed, state.suspect, state.anomalous) == (1, 0, 1)
    first, second = lines_of(tmp_path / "line1.jsonl", "part")
    assert first["inspections"]["lid"]["status"] == "good"
    assert second["inspections"]["seal"]["status"] == "anomalous"
