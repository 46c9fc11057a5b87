"""A run passes only when everything was processed and is good."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from dmdd_edge import Detector
from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.runtime.latencies import Latency
from dmdd_edge.runtime.loop import run_frames
from dmdd_edge.runtime.sources import SourceState, open_source
from dmdd_edge.runtime.summary import Summary
from dmdd_edge.runtime.verdict import failures, reach_verdict, unprocessed

ALL_GOOD = Summary(3, 3, 0, 0, 0, 0, Latency(1.0, None, None), 1.0, 3.0, "cpu")
FILES = SourceState("parts", live=False)


def test_good_frames_pass_also_when_fewer_were_asked_for() -> None:
    for summary, state, endless in (
        (ALL_GOOD, FILES, False),
        (replace(ALL_GOOD, ended_by="limit"), FILES, False),
        (replace(ALL_GOOD, ended_by="stop"), replace(FILES, live=True), True),
        (replace(ALL_GOOD, passed_over={".txt": 2, "hidden": 1}), FILES, False),
    ):
        assert unprocessed(summary, state, endless) is None
        assert reach_verdict(summary, state, endless, Counter()).passed


@pytest.mark.parametrize(
    ("summary", "state", "endless", "part"),
    [
        (replace(ALL_GOOD, ended_by="stop"), FILES, False, "ended after 3 frames, before the end of parts"),
        (replace(ALL_GOOD, ended_by="stop"), replace(FILES, waiting=2), True, "2 files waited"),
        (replace(ALL_GOOD, ended_by="stop"), replace(FILES, live=True, message="gone"), True, "lost when"),
        (replace(ALL_GOOD, passed_over={".heic": 4, ".txt": 1}), FILES, False, "Passed over: 4 .heic."),
        (replace(ALL_GOOD, passed_over={"unreadable folder": 1}), FILES, False, "1 unreadable folder"),
        (replace(ALL_GOOD, passed_over={"further pages": 1}), FILES, False, "1 further pages"),
    ],
)
def test_what_was_not_judged_does_not_pass(
    summary: Summary, state: SourceState, endless: bool, part: str
) -> None:
    problem = unprocessed(summary, state, endless)
    assert problem is not None
    assert part in problem.message
    assert not reach_verdict(summary, state, endless, Counter()).passed


def test_a_run_without_any_result_does_not_pass_unless_an_earlier_one_has_them() -> None:
    empty = replace(ALL_GOOD, frames=0, good=0)
    verdict = reach_verdict(empty, FILES, False, Counter())
    assert verdict.no_frame is not None
    assert (verdict.passed, verdict.nothing) == (False, None)
    assert reach_verdict(empty, FILES, False, Counter(good=2)).passed
    assert reach_verdict(empty, FILES, False, Counter(good=2, error=1)).failed == {"skipped": 1}
    skipped = reach_verdict(replace(empty, skipped=2), FILES, False, Counter())
    assert skipped.nothing is not None
    assert skipped.nothing.message == "None of the 2 frames could be judged."


def test_images_that_vanished_unread_are_failures_and_a_cameras_dropped_frames_are_not() -> None:
    dropped = replace(ALL_GOOD, dropped=2)
    assert failures(dropped, Counter(), lossless=True) == {"lost before they were read": 2}
    assert failures(dropped, Counter(), lossless=False) == {}
    assert failures(ALL_GOOD, Counter(anomalous=1, good=5), lossless=True) == {"anomalous": 1}


def test_the_summary_says_what_ended_the_run(make_bundle: Callable[..., Bundle], images: Path) -> None:
    with Detector.load(make_bundle().path, backend="cpu") as detector:
        assert run_frames(detector, open_source(str(images)), []).ended_by == "source"
        assert run_frames(detector, open_source(str(images)), [], limit=1).ended_by == "limit"

        def until_stopped(source: str, index: int) -> bool:
            return index < 3 and not asked.wait(60)

        asked = threading.Event()
        source = open_source(str(images))
        source.skip = until_stopped
        assert run_frames(detector, source, [], stop=lambda: asked.set() or True).ended_by == "stop"
