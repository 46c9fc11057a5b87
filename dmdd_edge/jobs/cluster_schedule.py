"""Runs many jobs on a cluster: Ray places them, and places those of a lost node elsewhere.

Only a few jobs wait in Ray at a time: how much memory each asks for is what was measured up to then.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from dmdd_edge.cluster.board import Board
from dmdd_edge.cluster.connection import alive_nodes, on_node, own_node
from dmdd_edge.jobs.cluster_job import Job, run_job
from dmdd_edge.jobs.cluster_room import Room
from dmdd_edge.jobs.following import follow, why_ended
from dmdd_edge.jobs.schedule import Report, needed
from dmdd_edge.jobs.standing import Standing

_TICK = 0.2
#: Seconds between two looks at which nodes live.
_LOOKS_EVERY = 5.0
#: How often a job is placed again.
_RETRIES = 3
#: Jobs that wait in Ray besides those that have room: the next one starts at once where one ends.
_AHEAD = 2


class ClusterSchedule:
    """Jobs and the cluster that they run on.

    Args:
        ray: the module, connected.
        standings: a job each; those that do not wait are left alone.
        jobs: what each needs to know, by name.
        room: what a job takes.
        at_once: the most that may run at a time.
        estimate: MiB that a job takes, until the first one has been measured.
        report: receives what happens.
        clock: seconds.
    """

    def __init__(
        self,
        ray: Any,
        standings: Sequence[Standing],
        jobs: Mapping[str, Job],
        room: Room,
        *,
        at_once: int,
        estimate: float,
        report: Report | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ray, self._jobs, self._room, self._clock = ray, jobs, room, clock
        self._standings = {standing.name: standing for standing in standings}
        self._at_once, self._estimate, self._report = at_once, estimate, report or Report()
        self._task = ray.remote(run_job)
        self._board = ray.remote(Board).options(**on_node(ray, own_node(ray))).remote()
        self._names: dict[Any, str] = {}
        self._runs: dict[str, str] = {}
        self._nodes: dict[str, str] = {}
        self._looked_at = clock()

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
                    self._ray.get(self._board.stop.remote())
                if not stopping:
                    self._submit()
                if not (self._running() if stopping else self._names):
                    return
                ready, _ = self._ray.wait(list(self._names), num_returns=len(self._names), timeout=_TICK)
                self._read_board()
                for ref in ready:
                    self._ended(self._names.pop(ref), ref)
                self._look_at_nodes()
                self._report.tick()
        finally:
            for ref in self._names:
                self._ray.cancel(ref, force=True)
            for standing in self._running():
                standing.state = "stopped"

    def _running(self) -> list[Standing]:
        return [standing for standing in self._standings.values() if standing.state == "running"]

    def _submit(self) -> None:
        given = set(self._names.values())
        waiting = [name for name in given if self._standings[name].state == "waiting"]
        for name, standing in self._standings.items():
            full = len(given) >= self._room.at_once + _AHEAD and len(waiting) >= _AHEAD
            if full or len(given) >= self._at_once:
                return
            if standing.state != "waiting" or name in given:
                continue
            need = needed(self._standings.values(), self._estimate)
            asked = self._room.resources(need)
            ref = self._task.options(**asked, name=f"dmdd-edge {name}", max_retries=_RETRIES).remote(
                self._board, self._jobs[name]
            )
            self._names[ref] = name
            given.add(name)
            waiting.append(name)

    def _read_board(self) -> None:
        for name, event in self._ray.get(self._board.take.remote()):
            standing = self._standings[name]
            if event["event"] == "began":
                self._began(standing, event)
            elif event["run"] == self._runs.get(name) and standing.state == "running":
                follow(standing, event)

    def _began(self, standing: Standing, event: Mapping[str, Any]) -> None:
        again = standing.name in self._runs
        self._runs[standing.name], self._nodes[standing.name] = event["run"], event["node"]
        standing.place, standing.phase, standing.share = event["place"], "starting", None
        if again:
            standing.moves += 1
            self._report.say(f"{standing.name}: continues on {standing.place}, from its last checkpoint")
        else:
            standing.began = self._clock()
        standing.state = "running"
        if not again:
            self._report.changed(standing)

    def _look_at_nodes(self) -> None:
        """Jobs whose node is gone wait until Ray has placed them again."""
        if self._clock() - self._looked_at < _LOOKS_EVERY:
            return
        self._looked_at = self._clock()
        alive = {node.id for node in alive_nodes(self._ray)}
        for standing in self._running():
            if self._nodes[standing.name] not in alive:
                standing.state, standing.memory, standing.share = "waiting", 0.0, None
                self._report.say(f"{standing.name}: {standing.place} was lost; it continues elsewhere")

    def _ended(self, name: str, ref: Any) -> None:
        standing = self._standings[name]
        try:
            last: Mapping[str, Any] = self._ray.get(ref)
        except Exception as error:  # whatever Ray says, the others continue
            last = {"event": "failed", "reason": _lost(error), "fix": "See `ray status`; then --resume."}
        if last["event"] == "waiting":
            return
        if last["event"] == "ended":
            reason, fix = why_ended(last["code"], last.get("text", ""))
            last = {"event": "failed", "reason": reason, "fix": fix}
        follow(standing, last)
        standing.memory = 0.0
        standing.seconds = self._clock() - (standing.began or self._clock())
        self._report.changed(standing)


def _lost(error: Exception) -> str:
    """Why Ray gave a job up."""
    kind = type(error).__name__
    if kind in ("WorkerCrashedError", "NodeDiedError", "OutOfMemoryError"):
        what = "runs out of memory" if kind == "OutOfMemoryError" else "was lost"
        return f"Its machine or process {what}, {_RETRIES + 1} times."
    last = (str(error).strip().splitlines() or [kind])[-1]
    return f"Ray gave it up: {last}"
