"""Runs many jobs, some at a time: the next one starts when a share is free and the memory suffices.

A job that fails does not stop the others. How much memory a job needs is estimated until the first one has
been measured; from then on the largest measured peak counts, with a margin.
"""

from __future__ import annotations

import queue
import time
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Protocol

from dmdd_edge.jobs.following import follow, why_ended
from dmdd_edge.jobs.process import Post
from dmdd_edge.jobs.shares import Share
from dmdd_edge.jobs.standing import Standing

#: Seconds between two looks at what was requested and at the memory.
_TICK = 0.2
#: A job that is like one before may need this much more memory.
_MARGIN = 1.1
#: After this share of its work a job's own peak is taken for what it needs.
_SETTLED = 0.5


class Process(Protocol):
    """A job that runs."""

    def stop(self) -> None:
        """Ask it to end soon."""

    def kill(self) -> None:
        """End it now."""


#: Starts the job of a name with a share; events go to the last argument.
Start = Callable[[str, Share, Post], Process]


class Report:
    """Receives how the jobs stand; this one ignores it."""

    def changed(self, standing: Standing) -> None:
        """A job has another state."""

    def tick(self) -> None:
        """Some time has passed; a job may have another phase."""

    def say(self, text: str) -> None:
        """A line that stays."""


def needed(standings: Iterable[Standing], estimate: float) -> float:
    """MiB that the next job is expected to take: the largest measured peak and a margin, or the estimate."""
    measured = [
        standing.peak
        for standing in standings
        if standing.state == "done" or (standing.share or 0.0) >= _SETTLED
    ]
    return _MARGIN * max(measured) if any(measured) else estimate


class Schedule:
    """Jobs and what they may use.

    Args:
        standings: a job each; those that do not wait are left alone.
        shares: of the machine; as many jobs run at a time.
        start: starts a job.
        needed: MiB that a job is estimated to take.
        free: MiB that are free now.
        report: receives what happens.
        clock: seconds.
    """

    def __init__(
        self,
        standings: Sequence[Standing],
        shares: Sequence[Share],
        start: Start,
        *,
        needed: float,
        free: Callable[[], float],
        report: Report | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._standings = {standing.name: standing for standing in standings}
        self._shares = list(shares)
        self._start, self._estimate, self._free, self._clock = start, needed, free, clock
        self._report = report or Report()
        self._running: dict[str, tuple[Process, Share]] = {}
        self._events: queue.Queue[tuple[str, dict[str, Any]]] = queue.Queue()
        self._said: set[bool] = set()
        self._killing = False

    def run(self, stop_asked: Callable[[], bool] = lambda: False) -> None:
        """Run all jobs that wait; returns when the last one has ended.

        Args:
            stop_asked: whether the jobs that run should end soon, and no other start.
        """
        stopping = False
        try:
            while True:
                if not stopping and stop_asked():
                    stopping = True
                    for process, _ in self._running.values():
                        process.stop()
                if not stopping:
                    self._start_next()
                if not self._running:
                    return
                self._take_events()
                self._report.tick()
        finally:
            self._killing = True
            for process, _ in self._running.values():
                process.kill()
            while not self._events.empty():
                self._take(*self._events.get())

    def needed(self) -> float:
        """MiB that the next job is expected to take."""
        return needed(self._standings.values(), self._estimate)

    def _start_next(self) -> None:
        for standing in self._standings.values():
            if not self._shares:
                return
            if standing.state != "waiting":
                continue
            if not self._fits():
                return
            share = self._shares.pop(0)
            standing.state, standing.began, standing.phase = "running", self._clock(), "starting"
            name = standing.name
            try:
                process: Process = self._start(name, share, self._post_of(name))
            except OSError as error:
                standing.state, standing.reason = "failed", f"Its process cannot be started: {error}."
                standing.fix = "Close other programs, or give fewer --jobs."
                self._shares.insert(0, share)
            else:
                self._running[name] = (process, share)
            self._report.changed(standing)

    def _post_of(self, name: str) -> Post:
        """What adds a job's events to those of all."""
        return lambda event: self._events.put((name, event))

    def _fits(self) -> bool:
        """Whether the memory suffices for one more job; the only one always starts."""
        need = self.needed()
        # Jobs that have just started will take more than they hold now.
        to_come = sum(max(need - self._standings[name].memory, 0.0) for name in self._running)
        left = self._free() - to_come
        if left >= need:
            return True
        alone = not self._running
        if alone not in self._said:  # once each
            self._said.add(alone)
            so = (
                "it is started all the same" if alone else f"the next one waits; {len(self._running)} at work"
            )
            self._report.say(
                f"memory: a job takes about {need:.0f} MiB and {max(left, 0.0):.0f} MiB are left: {so}"
            )
        return alone

    def _take_events(self) -> None:
        try:
            self._take(*self._events.get(timeout=_TICK))
            while True:
                self._take(*self._events.get_nowait())
        except queue.Empty:
            return

    def _take(self, name: str, event: dict[str, Any]) -> None:
        standing = self._standings[name]
        follow(standing, event)
        if event.get("event") == "ended":
            self._ended(standing, event)

    def _ended(self, standing: Standing, event: dict[str, Any]) -> None:
        """Note the end of a process; one without a last word has failed."""
        _, share = self._running.pop(standing.name)
        self._shares.insert(0, share)
        standing.seconds = self._clock() - (standing.began or 0.0)
        standing.memory = 0.0
        if standing.state == "running" and self._killing:
            standing.state = "stopped"
        elif standing.state == "running":
            standing.state = "failed"
            standing.reason, standing.fix = why_ended(event["code"], event.get("text", ""))
        self._report.changed(standing)
