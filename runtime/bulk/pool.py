"""Processes that work on shards: one that ends in the middle is replaced, and another takes its shard."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import At, Done, Failed, Ready, Task, work

#: How many processes may end before one of them has a detector.
_STARTS = 3
_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Event:
    """Something that happened, or that some time passed.

    Attributes:
        first: the index of the first image that is done.
        done: the rows of some images; None without any.
        under_way: images that are done and have no rows yet.
    """

    first: int
    done: Done | None
    under_way: int


class _Worker:
    """One process, and the shard that it works on."""

    def __init__(self, task: Task, target: Callable[[Connection, Task], None]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, other = context.Pipe()
        self.process = context.Process(target=target, args=(other, task), daemon=True)
        # Ctrl-C reaches all processes of a terminal; only the parent decides what happens then. Python's own
        # watcher of such processes releases these signals where it starts, so it starts before.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
        try:
            self.process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
            other.close()
        self.ready: Ready | None = None
        self.shard: Shard | None = None
        self.at: int | None = None
        self.done = 0

    def give(self, shard: Shard) -> None:
        """Send a shard; that the process ended meanwhile shows when it is waited for."""
        self.shard, self.at, self.done = shard, None, 0
        self.send(shard)

    def send(self, item: object) -> None:
        """Send something, unless the process ended."""
        with suppress(OSError):
            self.pipe.send(item)

    def receive(self) -> Ready | At | Done | Failed | None:
        """What it says; None when it ended."""
        try:
            item: Ready | At | Done | Failed = self.pipe.recv()
            return item
        except (EOFError, OSError):
            return None

    def end(self) -> None:
        """End the process."""
        self.pipe.close()
        self.process.kill()
        self.process.join()


class Pool:
    """Works on shards with several processes.

    Args:
        task: what the processes need to know.
        accept: called with what each process says of its detector; raises to refuse it.
        stopping: whether to end with the rows so far.
        target: what each process runs.

    Attributes:
        lost: how many processes ended in the middle.
        processes: the most that worked at once.
    """

    def __init__(
        self,
        task: Task,
        accept: Callable[[Ready], None],
        stopping: Callable[[], bool],
        target: Callable[[Connection, Task], None] = work,
    ) -> None:
        self.lost = self.processes = 0
        self._task, self._accept, self._stopping = task, accept, stopping
        self._target = target
        self._workers: list[_Worker] = [_Worker(task, target)]
        self._again: deque[Shard] = deque()
        self._wanted = 1
        self._failed_starts = 0
        self._stopped = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for worker in self._workers:
            worker.end()
        self._workers = []

    def first_ready(self) -> Ready:
        """Wait for the first process.

        Raises:
            DmddError: the detector cannot be loaded.
        """
        while True:
            for _ in self._events():
                pass
            for worker in self._workers:
                if worker.ready is not None:
                    return worker.ready
            if self._stopping():
                raise KeyboardInterrupt

    def use(self, task: Task, jobs: int) -> None:
        """Let this many processes work, with this task from now on."""
        self._task, self._wanted = task, jobs

    def work(self, shards: Iterator[Shard]) -> Iterator[Event]:
        """Work on all shards; what is left of a shard that ends early comes later.

        Raises:
            DmddError: a backend failed, or no process lives long enough.
        """
        more = True
        while True:
            if self._stopping() and not self._stopped:
                self._stopped = True
                for worker in self._workers:
                    if worker.shard is not None:
                        worker.send(None)
            if not self._stopped:
                more = self._share_out(shards, more)
            if not any(worker.shard for worker in self._workers) and (
                self._stopped or not (more or self._again)
            ):
                return
            for first, done in self._events():
                yield Event(first, done, sum(worker.done for worker in self._workers))
            yield Event(0, None, sum(worker.done for worker in self._workers))

    def _share_out(self, shards: Iterator[Shard], more: bool) -> bool:
        while len(self._workers) < self._wanted and (more or self._again):
            self._workers.append(_Worker(self._task, self._target))
        self.processes = max(self.processes, len(self._workers))
        for worker in self._workers:
            if worker.ready is None or worker.shard is not None:
                continue
            shard = self._again.popleft() if self._again else next(shards, None) if more else None
            if shard is None:
                return False
            worker.give(shard)
        return more

    def _events(self) -> Iterator[tuple[int, Done]]:
        """What the processes say within a moment."""
        pipes: dict[Any, _Worker] = {worker.pipe: worker for worker in self._workers}
        for pipe in wait(list(pipes), timeout=0.2):
            assert isinstance(pipe, Connection)
            worker = pipes[pipe]
            item = worker.receive()
            if isinstance(item, Ready):
                self._accept(item)
                worker.ready, self._failed_starts = item, 0
            elif isinstance(item, At):
                worker.at, worker.done = item.index, item.done
            elif isinstance(item, Done):
                shard, worker.shard, worker.done = worker.shard, None, 0
                assert shard is not None
                if left := shard.names[item.images :]:
                    self._again.append(replace(shard, first=shard.first + item.images, names=left))
                if item.images:
                    yield shard.first, item
            else:
                self._ended(worker, item)

    def _ended(self, worker: _Worker, failed: Failed | None) -> None:
        """Replace a process that ended, and keep its shard for another one."""
        self._workers.remove(worker)
        worker.process.join(5.0)
        code = worker.process.exitcode
        worker.end()
        if failed is not None and failed.expected:
            raise DmddError(failed.message, failed.fix)
        why = failed.message if failed is not None else _how(code)
        shard = worker.shard
        if shard is None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise BackendError(
                    f"Processes end before they have a detector: {why}.",
                    "See what works: dmdd-edge doctor, and use fewer --jobs if memory is short.",
                )
            if not self._workers:
                self._workers.append(_Worker(self._task, self._target))
                time.sleep(0.1)
            return
        self.lost += 1
        at = worker.at if shard.careful else None
        if at is not None and at == shard.last_at:
            shard.fatal[at] = f"The process that worked on it ended twice: {why}."
        shard.last_at = at
        shard.deaths += 1
        self._again.appendleft(shard)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
