"""Suspect parts in the results of a station: status, summary, line, simulation."""

from __future__ import annotations

import time
from dataclasses import replace
from types import SimpleNamespace

import pytest

from dmdd_edge.runtime.frame import Frame
from dmdd_edge.runtime.station.model import PartResult, Trigger
from dmdd_edge.runtime.station.parts import Part, part_line, part_result
from dmdd_edge.runtime.station.plc.client import Verdict
from dmdd_edge.runtime.station.settings import InspectionSettings
from dmdd_edge.runtime.station.simulate.findings import Judge, Witness
from dmdd_edge.runtime.station.summary import Tally
from dmdd_edge.runtime.summary import RunStatistics
from tests.runtime.station.plc.fakes import result


def judged(*statuses: str, band: float | None = 0.4) -> PartResult:
    """A part whose inspections have these statuses."""
    names = [f"lid{number}" for number in range(len(statuses))]
    settings = [InspectionSettings(name=name, camera="top", category="screw") for name in names]
    recipe = SimpleNamespace(number=1, name="first", inspections=[(each, None) for each in settings])
    trigger = Trigger(1, 7, 1, "camera", 0.0, time.perf_counter())
    found = [replace(result(status), suspect_threshold=band) for status in statuses]
    return part_result(Part(trigger, recipe, {}), [(Frame(None, "top"), each) for each in found], None)


@pytest.mark.parametrize(
    ("statuses", "expected"),
    [
        (("good", "good"), "good"),
        (("good", "suspect"), "suspect"),
        (("suspect", "anomalous"), "anomalous"),
        (("suspect", "unreliable"), "unreliable"),
        (("anomalous", "unreliable"), "anomalous"),
        ((), "unreliable"),
    ],
)
def test_the_worst_status_wins(statuses: tuple[str, ...], expected: str) -> None:
    part = judged(*statuses)
    assert part.status == expected
    assert part.passed == (expected == "good")


def test_line_and_summary() -> None:
    tally, frames = Tally(), RunStatistics("cpu").summary()
    tally.part(judged("good", band=None))
    assert "suspect" not in tally.summary(frames).to_json()["parts"]
    for part in (judged("good"), judged("suspect", "good"), judged("anomalous")):
        tally.part(part)
    parts = tally.summary(frames).to_json()["parts"]
    assert [parts[name] for name in ("total", "passed", "suspect", "anomalous", "unreliable")] == [
        4,
        2,
        1,
        1,
        0,
    ]
    line = part_line(judged("suspect", "good"))
    assert (line["status"], line["passed"]) == ("suspect", False)
    assert line["inspections"]["lid0"]["suspect_threshold"] == 0.4


@pytest.mark.parametrize(("in_band", "broken"), [(True, 0), (False, 1)])
def test_the_simulation_checks_the_bit(in_band: bool, broken: int) -> None:
    witness = Witness()
    witness.part(judged("suspect"))
    judge = Judge(witness)
    judge.add(Verdict(7, 1, "Suspect", 0.4, None, 0.01, in_band))
    findings = judge.findings(1, 0)
    assert (len(findings.broken), findings.in_band) == (broken, int(in_band))
    assert ("in_band" in findings.to_json()) == in_band
