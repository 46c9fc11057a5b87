"""The schedule: order, failures, memory, stopping. The jobs are stand-ins that end when the test says so."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from dmdd_edge.jobs import schedule as module
from dmdd_edge.jobs.process import Post
from dmdd_edge.jobs.schedule import Report, Schedule
from dmdd_edge.jobs.shares import Share
from dmdd_edge.jobs.standing import Standing, counts

SHARES = [Share((0,), 1), Share((1,), 1)]


class StandIn:
    """A job whose events are given; without any it runs until it is stopped or killed."""

    def __init__(self, post: Post, events: list[dict[str, Any]]) -> None:
        self.post, self.stopped, self.killed = post, 0, 0
        for event in events:
            post(event)

    def stop(self) -> None:
        self.stopped += 1
        self.post({"event": "stopped"})
        self.post({"event": "ended", "code": 0})

    def kill(self) -> None:
        self.killed += 1
        self.post({"event": "ended", "code": -9})


class Jobs:
    """Starts stand-ins and notes what was started with which share."""

    def __init__(self, **events: list[dict[str, Any]]) -> None:
        self.events, self.started = events, []  # type: ignore[var-annotated]
        self.processes: dict[str, StandIn] = {}

    def __call__(self, name: str, share: Share, post: Post) -> StandIn:
        self.started.append((name, share.cores))
        self.processes[name] = StandIn(post, self.events.get(name, done()))
        return self.processes[name]


def done(peak: float = 100.0, **result: Any) -> list[dict[str, Any]]:
    return [{"event": "done", "result": result, "peak": peak}, {"event": "ended", "code": 0}]


def run(
    jobs: Callable[..., Any],
    names: str = "abc",
    *,
    free: Callable[[], float] = lambda: 1e6,
    stop: Callable[[], bool] = lambda: False,
    report: Report | None = None,
    needed: float = 1.0,
) -> list[Standing]:
    standings = [Standing(name) for name in names]
    Schedule(standings, SHARES, jobs, needed=needed, free=free, report=report, clock=lambda: 5.0).run(stop)
    return standings


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_TICK", 0.01)


def test_all_jobs_are_done_in_order_and_shares_are_used_again() -> None:
    jobs = Jobs(b=done(version="v7"))
    standings = run(jobs)
    assert [standing.state for standing in standings] == ["done"] * 3
    assert [name for name, _ in jobs.started] == ["a", "b", "c"]
    assert jobs.started[0][1] != jobs.started[1][1]
    assert standings[1].as_dict() == {
        "state": "done",
        "seconds": 0.0,
        "peak_memory_mib": 100,
        "version": "v7",
    }


def test_a_failure_with_its_reason_stops_no_other() -> None:
    failed = [{"event": "failed", "reason": "no images", "fix": "add some"}, {"event": "ended", "code": 0}]
    standings = run(Jobs(a=failed))
    assert counts(standings) == {"done": 2, "failed": 1}
    assert (standings[0].reason, standings[0].fix) == ("no images", "add some")


@pytest.mark.parametrize(
    ("end", "says"),
    [
        ({"event": "ended", "code": -9}, "was killed"),
        ({"event": "ended", "code": -11, "text": "first\nsecond"}, "by signal 11: second"),
        ({"event": "ended", "code": 3, "text": ""}, "with exit code 3: it wrote no message"),
    ],
)
def test_a_process_without_a_last_word_has_failed(end: dict[str, Any], says: str) -> None:
    standing = run(Jobs(a=[end]), "ab")[0]
    assert standing.state == "failed"
    assert says in standing.reason
    assert standing.fix


def test_a_process_that_cannot_be_started_fails_alone() -> None:
    jobs = Jobs()

    def start(name: str, share: Share, post: Post) -> StandIn:
        if name == "a":
            raise OSError(12, "no memory")
        return jobs(name, share, post)

    assert [standing.state for standing in run(start)] == ["failed", "done", "done"]


def test_what_is_done_before_is_left_alone() -> None:
    jobs = Jobs()
    standings = [Standing("a", state="skipped"), Standing("b")]
    Schedule(standings, SHARES, jobs, needed=1.0, free=lambda: 1e6).run()
    assert [name for name, _ in jobs.started] == ["b"]
    assert counts(standings) == {"done": 1, "skipped": 1}


def test_a_job_waits_for_memory_and_the_only_one_starts_all_the_same() -> None:
    most, lines = [0], []  # type: ignore[var-annotated]
    running: set[str] = set()

    class Watch(Report):
        def changed(self, standing: Standing) -> None:
            (running.add if standing.state == "running" else running.discard)(standing.name)
            most[0] = max(most[0], len(running))

        def say(self, text: str) -> None:
            lines.append(text)

    # 150 MiB are free and a job takes 100: two do not fit at once, though both shares are free.
    assert counts(run(Jobs(), free=lambda: 150.0, needed=100.0, report=Watch())) == {"done": 3}
    assert most == [1]
    assert lines == ["memory: a job takes about 100 MiB and 50 MiB are left: the next one waits; 1 at work"]
    lines.clear()
    assert counts(run(Jobs(), free=lambda: 50.0, needed=100.0, report=Watch())) == {"done": 3}
    assert "started all the same" in lines[0]


def test_the_measured_peak_replaces_the_estimate() -> None:
    standings = [Standing("a", state="done", peak=400.0), Standing("b", state="failed", peak=9000.0)]
    schedule = Schedule(standings, SHARES, Jobs(), needed=50.0, free=lambda: 0.0)
    assert schedule.needed() == pytest.approx(440.0)
    standings[0].state = "running"  # at its beginning a peak says little
    assert schedule.needed() == 50.0
    standings[0].share = 0.6
    assert schedule.needed() == pytest.approx(440.0)


def test_a_stop_lets_running_jobs_save_and_starts_no_other() -> None:
    jobs = Jobs(a=[], b=[])
    standings = run(jobs, stop=lambda: len(jobs.started) == 2)
    assert counts(standings) == {"waiting": 1, "stopped": 2}
    assert [process.stopped for process in jobs.processes.values()] == [1, 1]
    assert [process.killed for process in jobs.processes.values()] == [0, 0]


def test_an_interrupt_kills_what_runs() -> None:
    jobs = Jobs(a=[], b=[])
    standings = [Standing(name) for name in "abc"]

    def stop() -> bool:
        if len(jobs.started) == 2:
            raise KeyboardInterrupt
        return False

    with pytest.raises(KeyboardInterrupt):
        Schedule(standings, SHARES, jobs, needed=1.0, free=lambda: 1e6).run(stop)
    assert [process.killed for process in jobs.processes.values()] == [1, 1]
    assert counts(standings) == {"waiting": 1, "stopped": 2}
