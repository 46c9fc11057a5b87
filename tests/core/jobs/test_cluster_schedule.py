"""Jobs on a cluster that is a stand-in: memory, failures, a node that is lost, stopping."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest

from dmdd_edge.cluster.connection import Node
from dmdd_edge.jobs import cluster_schedule as module
from dmdd_edge.jobs.cluster_job import Job
from dmdd_edge.jobs.cluster_room import room_for
from dmdd_edge.jobs.cluster_schedule import ClusterSchedule
from dmdd_edge.jobs.schedule import Report
from dmdd_edge.jobs.standing import Standing, counts
from tests.fake_ray import FakeRay

Events = list[dict[str, Any]]
Script = Callable[[FakeRay], Iterator[dict[str, Any]]]


def began(run: str = "r1", node: str = "n1") -> dict[str, Any]:
    return {"event": "began", "run": run, "place": node, "node": node}


def progress(run: str = "r1", **more: Any) -> dict[str, Any]:
    return {"event": "progress", "phase": "student", "share": 0.6, "run": run, **more}


def done(peak: float = 100.0, **result: Any) -> dict[str, Any]:
    return {"event": "done", "result": result, "peak": peak}


class Lines(Report):
    """Keeps what is said."""

    def __init__(self) -> None:
        self.lines: list[str] = []

    def say(self, text: str) -> None:
        self.lines.append(text)


def run(
    monkeypatch: pytest.MonkeyPatch,
    scripts: dict[str, Script],
    names: str = "abc",
    *,
    slots: int = 2,
    at_once: int = 9,
    stop: Callable[[], bool] = lambda: False,
    report: Report | None = None,
    ray: FakeRay | None = None,
) -> tuple[list[Standing], FakeRay]:
    """Run jobs; a script is the events of one, of which the last one is what it returns."""
    ray = ray or FakeRay(slots)
    cluster = ray

    def job(board: Any, given: Job) -> Generator[None, None, Any]:
        events = scripts.get(given.name, lambda ray: iter([began(), progress(), done()]))(cluster)
        last: dict[str, Any] | None = None
        for event in events:
            if last is not None and last["event"] == "began":
                if not board.begin.remote(given.name, last).value:
                    return {"event": "waiting"}
            elif last is not None:
                board.post.remote(given.name, last)
            if last is not None and last.get("phase") != "saving" and board.stopping.remote().value:
                return {"event": "stopped"}
            last = event
            yield
        return last

    monkeypatch.setattr(module, "run_job", job)
    monkeypatch.setattr(module, "_LOOKS_EVERY", 0.0)
    standings = [Standing(name) for name in names]
    jobs = {name: Job(name, "none", {}, 1) for name in names}
    room = room_for([Node("n1", "n1", slots, 0, 1e6)], slots)
    schedule = ClusterSchedule(
        ray, standings, jobs, room, at_once=at_once, estimate=50.0, report=report, clock=lambda: 5.0
    )
    schedule.run(stop)
    return standings, ray


def test_all_are_done_and_later_ones_ask_for_the_measured_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    standings, ray = run(
        monkeypatch,
        {"a": lambda ray: iter([began(), progress(peak=400.0), done(400.0, version="v7")])},
        "abcdefgh",
    )
    assert counts(standings) == {"done": 8}
    assert standings[0].as_dict() == {
        "state": "done", "seconds": 0.0, "peak_memory_mib": 400, "node": "n1", "moves": 0, "version": "v7",
    }  # fmt: skip
    asked = [options["memory"] / 2**20 for options, _ in ray.tasks]
    assert asked[:4] == [50.0] * 4  # two have room, two wait: nothing is measured
    assert asked[-1] == pytest.approx(440.0, abs=0.01)
    assert all(options["max_retries"] == 3 for options, _ in ray.tasks)


def test_no_more_than_wanted_are_given_to_ray(monkeypatch: pytest.MonkeyPatch) -> None:
    most = 0

    class Count(Report):
        def tick(self) -> None:
            nonlocal most
            most = max(most, sum(not ref.ready for _, ref in cluster.tasks))

    cluster = FakeRay()
    standings, _ = run(monkeypatch, {}, "abcdef", at_once=1, report=Count(), ray=cluster)
    assert counts(standings) == {"done": 6}
    assert most <= 1


def test_a_failure_stops_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    def refused(ray: FakeRay) -> Iterator[dict[str, Any]]:
        yield began()
        raise RuntimeError("Traceback of a worker\nValueError: what it was")

    standings, _ = run(
        monkeypatch,
        {
            "a": lambda ray: iter([began(), {"event": "failed", "reason": "No images.", "fix": "Add some."}]),
            "b": lambda ray: iter([began(), {"event": "ended", "code": -9, "text": ""}]),
            "c": refused,
        },
        "abcd",
    )
    assert counts(standings) == {"done": 1, "failed": 3}
    assert [standing.reason for standing in standings[:3]] == [
        "No images.",
        "Its process was killed, as a system does that runs out of memory.",
        "Ray gave it up: ValueError: what it was",
    ]


def test_a_job_of_a_lost_node_continues_elsewhere_and_old_events_count_for_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def moved(ray: FakeRay) -> Iterator[dict[str, Any]]:
        yield began("first", "n1")
        yield progress("first", peak=300.0)
        ray.alive["n1"] = False
        yield progress("first")
        yield began("second", "n2")
        yield progress("first", peak=9999.0)  # comes late
        yield progress("second", share=0.7)
        yield done(310.0, version="v2")

    lines = Lines()
    standings, _ = run(monkeypatch, {"a": moved}, "a", report=lines)
    assert counts(standings) == {"done": 1}
    first = standings[0]
    assert (first.place, first.moves, first.peak, first.result) == ("n2", 1, 310.0, {"version": "v2"})
    assert lines.lines == [
        "a: n1 was lost; it continues elsewhere",
        "a: continues on n2, from its last checkpoint",
    ]


def test_a_stop_ends_what_runs_and_starts_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = 0

    def stop() -> bool:
        nonlocal ticks
        ticks += 1
        return ticks > 3

    long: Script = lambda ray: iter([began(), *[progress()] * 50, done()])  # noqa: E731
    standings, _ = run(monkeypatch, dict.fromkeys("abcdef", long), "abcdef", stop=stop)
    assert counts(standings) == {"waiting": 4, "stopped": 2}


def test_a_job_that_gets_its_place_after_the_stop_does_not_begin_and_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Ticks(Report):
        number = 0

        def tick(self) -> None:
            self.number += 1
            assert self.number < 100, "it waits for a job that did not begin"

    ticks = Ticks()
    saving: Script = lambda ray: iter([began(), *[progress(phase="saving")] * 20, done()])  # noqa: E731
    long: Script = lambda ray: iter([began(), *[progress()] * 50, done()])  # noqa: E731
    standings, ray = run(
        monkeypatch,
        {"a": saving, **dict.fromkeys("bcd", long)},
        "abcd",
        stop=lambda: ticks.number > 3,
        report=ticks,
    )
    assert [standing.state for standing in standings] == ["done", "stopped", "waiting", "waiting"]
    assert [ref.value for _, ref in ray.tasks[2:]] == [{"event": "waiting"}] * 2, "both had their place"


def test_an_interrupt_cancels_all(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = 0

    def stop() -> bool:
        nonlocal ticks
        ticks += 1
        if ticks > 3:
            raise KeyboardInterrupt
        return False

    long: Script = lambda ray: iter([began(), *[progress()] * 50, done()])  # noqa: E731
    ray = FakeRay()
    with pytest.raises(KeyboardInterrupt):
        run(monkeypatch, dict.fromkeys("abc", long), "abc", stop=stop, ray=ray)
    assert len(ray.canceled) == 3
