"""A job on a node of a cluster: the same process as on one machine, followed from there."""

from __future__ import annotations

import os
import socket
import sys
import threading
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from dmdd_edge.cluster.connection import problem_of
from dmdd_edge.cluster.node_check import look
from dmdd_edge.jobs.process import JobProcess
from dmdd_edge.jobs.shares import Share

#: Seconds between two looks at whether the command ends.
_LOOKS_EVERY = 1.0


@dataclass(frozen=True)
class Job:
    """What a node needs to know.

    Attributes:
        name: of the job.
        module: that runs as the job's process.
        work: what it reads.
        threads: that it computes with.
        paths: files and folders that it must see.
    """

    name: str
    module: str
    work: Mapping[str, Any]
    threads: int
    paths: tuple[str, ...] = ()


def run_job(board: Any, job: Job) -> dict[str, Any]:
    """Run a job to its end, on this node.

    A job that is run again, because a node was lost, finds what the one before has left: its work says that
    it continues.

    Args:
        board: the actor of the board.
        job: which one.

    Returns:
        its last word, or ``{"event": "ended", ...}`` for a process without one; ``{"event": "waiting"}`` if
        it did not start, because the command ends.
    """
    import ray

    problem = problem_of(socket.gethostname(), look(job.paths))
    if problem is not None:
        return {"event": "failed", "reason": problem.message, "fix": problem.fix}
    parent = os.getppid()
    run, node = uuid.uuid4().hex, ray.get_runtime_context().get_node_id()
    began = {"event": "began", "run": run, "place": socket.gethostname(), "node": node}
    if not _answer(board.begin.remote(job.name, began)):
        return {"event": "waiting"}
    last: dict[str, Any] = {}
    ended = threading.Event()

    def post(event: dict[str, Any]) -> None:
        kind = event.get("event")
        if kind == "ended":
            if not last:
                last.update(event)
            ended.set()
        elif kind == "progress":
            board.post.remote(job.name, {**event, "run": run})
        else:
            last.update(event)

    # Ray chooses the GPU, and says so in the variables of this process, which the job's inherits.
    environment = Share((), job.threads).environment(os.environ)
    process = JobProcess((sys.executable, "-m", job.module), job.work, environment, post)
    asked = False
    while not ended.wait(_LOOKS_EVERY):
        if os.getppid() != parent:
            break
        if not asked and _answer(board.stopping.remote()):
            asked = True
            process.stop()
    if os.getppid() != parent and last.get("event") != "done":
        # Ray has ended on this node and runs the job elsewhere, while this process may live on. When it ends,
        # the job's process saves its checkpoint and ends, too.
        os._exit(1)
    return last


def _answer(ref: Any) -> Any:
    """What an actor answers. While a task waits in ``ray.get``, Ray gives its cores to another one."""
    return ref.future().result()
