"""What ``run`` tells a person, and the exit code that it ends with."""

from __future__ import annotations

import signal
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import typer

from dmdd_edge import DmddError
from dmdd_edge.cli.run import _exit
from dmdd_edge.cli.run_report import Report, print_end
from dmdd_edge.runtime.assembly import RunOutcome
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result, Timings
from dmdd_edge.runtime.sources import SourceState
from dmdd_edge.runtime.summary import RunStatistics, Summary, busiest
from dmdd_edge.runtime.verdict import reach_verdict

Capture = pytest.CaptureFixture[str]


def _result(status: str = "good") -> Result:
    return Result(
        source="",
        index=0,
        status=status,  # type: ignore[arg-type]
        time=0.0,
        score=0.25,
        normalized_score=0.25,
        threshold=0.5,
        is_anomalous=False,
        anomaly_map=np.zeros((1, 1), np.float32),
        timings=Timings(1, 2, 3, 4),
    )


def _frame(source: str, name: str, index: int = 0) -> Frame:
    return Frame(np.zeros((1, 1, 3), np.uint8), source, name, index)


def _summary(statuses: Sequence[str] = (), skipped: int = 0) -> Summary:
    statistics = RunStatistics("cpu")
    for status in statuses:
        statistics.add(_result(status))
    for _ in range(skipped):
        statistics.skip()
    return statistics.summary()


@pytest.mark.parametrize(
    ("source", "name", "shown"),
    [
        ("images/a/0.png", "a/0.png", "images/a/0.png"),
        ("images/[red]:key:.png", "[red]:key:.png", "images/[red]:key:.png"),
        ("images/\x1b[2J\n.png", "\x1b[2J\n.png", "images/\\x1b[2J\\n.png"),
        ("/dev/video0", "video0/2026-11-28/14-34-23-541-000007", "/dev/video0 14-34-23-541-000007"),
        ("part.mp4", "part.mp4/frame-000002", "part.mp4 frame-000002"),
    ],
)
def test_a_frame_is_named_once_and_as_it_is(source: str, name: str, shown: str, capsys: Capture) -> None:
    Report(each=True).result(_frame(source, name), _result())
    assert capsys.readouterr().err == f"good       0.2500  {shown}\n"


def test_each_line_says_how_far_it_is(capsys: Capture) -> None:
    report = Report(each=True, total=12)
    report.result(_frame("a.png", "a.png", 0), _result())
    report.broken(BrokenFrame("b.png", 11, DmddError("the region does not fit")))
    report.result(_frame("c.png", "c.png", 12), _result())  # a video's file may promise too few
    assert capsys.readouterr().err.splitlines() == [
        " 1/12  good       0.2500  a.png",
        "12/12  skipped    b.png: the region does not fit",
        "good       0.2500  c.png",
    ]
    Report(each=True, total=1).result(_frame("a.png", "a.png"), _result())
    assert capsys.readouterr().err == "good       0.2500  a.png\n"


def test_quiet_and_verbose(capsys: Capture) -> None:
    quiet = Report(each=False)
    quiet.result(_frame("a.png", "a.png"), _result())
    assert capsys.readouterr().err == ""
    quiet.broken(BrokenFrame("b.png", 1, DmddError("b.png is empty")))
    assert capsys.readouterr().err == "skipped    b.png is empty\n"
    Report(each=True, verbose=True).result(_frame("a.png", "a.png"), _result())
    assert "threshold 0.5000; ms: capture 1.0, prepare 2.0, infer 3.0, finish 4.0" in capsys.readouterr().err


def _code(
    summary: Summary,
    received: signal.Signals | None = None,
    before: Counter[str] | None = None,
    gate: bool = True,
) -> int:
    camera = SourceState("the camera", live=False, message="it is disconnected")
    verdict = reach_verdict(summary, camera, False, before or Counter())
    try:
        _exit(RunOutcome(summary, verdict), received, gate)
    except typer.Exit as ended:
        return ended.exit_code
    return 0


def test_the_gate_passes_only_when_every_frame_was_judged_good() -> None:
    assert _code(_summary(["good", "good"])) == 0
    assert _code(_summary(["good", "anomalous"])) == 3
    assert _code(_summary(["good", "unreliable"])) == 3
    assert _code(_summary(["good"], skipped=1)) == 3
    assert _code(_summary(), before=Counter(good=2)) == 0
    assert _code(_summary(), before=Counter(good=2, error=1)) == 3
    assert _code(_summary(["good"]), signal.SIGINT) == 130
    assert _code(_summary(["good"]), signal.SIGTERM) == 0
    assert _code(_summary(["anomalous"]), signal.SIGTERM) == 3


@pytest.mark.parametrize("received", [None, signal.SIGTERM])
def test_the_gate_does_not_pass_when_nothing_was_judged(received: signal.Signals | None) -> None:
    with pytest.raises(DmddError, match="No frame came from the camera in 0 s: it is disconnected"):
        _code(_summary(), received)
    with pytest.raises(DmddError, match="None of the 2 frames"):
        _code(_summary(skipped=2), received)
    assert _code(_summary(), received, gate=False) == 0  # files, no gate


@pytest.mark.parametrize(
    ("busy", "live", "expected"),
    [
        ((0.2, 0.3, 0.66, 0.93), False, "write"),
        ((0.5, 0.45, 0.66, 0.1), False, "capture"),  # one thread reads and prepares: 95 %
        ((0.1, 0.3, 0.66, 0.6), False, "infer"),
        ((0.3, 0.1, 0.55, 0.9), True, "infer"),  # of a live source, one thread does all but writing: 95 %
        ((0.1, 0.1, 0.2, 0.9), True, "write"),
    ],
)
def test_the_busiest_part_of_the_busiest_thread_is_the_bottleneck(
    busy: tuple[float, ...], live: bool, expected: str
) -> None:
    assert busiest(dict(zip(("capture", "prepare", "infer", "write"), busy, strict=True)), live) == expected


def test_the_bottleneck_is_shown_with_the_sums_of_the_threads(capsys: Capture) -> None:
    statistics = RunStatistics("cpu")
    statistics.add(_result())
    busy = {"capture": 0.2, "prepare": 0.3, "infer": 0.66, "write": 0.93}
    Report(each=False).summary(statistics.summary(busy, "write"))
    shown = "writing results (busy: capture 20% + prepare 30%, infer 66%, write 93%)"
    assert shown in capsys.readouterr().err


@pytest.mark.parametrize("learning", [True, False])
def test_results_in_which_drift_can_be_found_name_the_command(learning: bool, capsys: Capture) -> None:
    drift = {"screw": {"learning": learning, "warnings": [], "frames": 500}}
    summary = replace(_summary(["good"]), drift=drift)
    verdict = reach_verdict(summary, SourceState("parts/", live=False), False, Counter())
    outcome = RunOutcome(summary, verdict, (("lines", Path("a b.jsonl"), 1),))
    print_end(outcome)
    last = capsys.readouterr().err.splitlines()[-1]
    expected = "1 lines in a b.jsonl"
    assert last == (expected if learning else "next: dmdd-edge drift 'a b.jsonl' --report drift.html")
    print_end(replace(outcome, written=(("rows", Path("a.csv"), 1),)))
    assert "drift" not in capsys.readouterr().err


def test_a_line_says_that_an_image_was_ended_early(capsys: Capture) -> None:
    result = replace(_result("anomalous"), is_anomalous=True, stopped_early=True, inspected=0.44)
    Report(each=True).result(_frame("a.png", "a.png"), result)
    assert "(ended after 44 % of the tiles)" in capsys.readouterr().err
    Report(each=True).result(_frame("a.png", "a.png"), replace(result, stopped_early=False, inspected=1.0))
    assert "ended" not in capsys.readouterr().err
