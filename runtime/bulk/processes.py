"""The processes of this machine that decide shards, each behind a pipe."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from typing import Any

from dmdd_edge.runtime.bulk.crew import Item, Member
from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import Task, work

_SIGNALS = (signal.SIGINT, signal.SIGTERM)
#: Seconds before the next process starts where the only one ended.
_PAUSE = 0.1


class Process(Member):
    """One process, and the shard that it works on."""

    def __init__(self, task: Task, target: Callable[[Connection, Task], None]) -> None:
        super().__init__()
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

    def begin(self, shard: Shard) -> None:
        """Send a shard; that the process ended meanwhile shows when it is waited for."""
        self._send(shard)

    def ask(self) -> None:
        """Ask for the rows so far."""
        self._send(None)

    def _send(self, item: object) -> None:
        with suppress(OSError):
            self.pipe.send(item)

    def receive(self) -> Item | None:
        """What it says; None when it ended."""
        try:
            item: Item = self.pipe.recv()
            return item
        except (EOFError, OSError):
            return None

    def end(self) -> str:
        """End the process; returns how it had ended before, if it had."""
        code = self.process.exitcode
        self.pipe.close()
        self.process.kill()
        self.process.join()
        return _how(code)


class Processes:
    """Processes of this machine.

    Args:
        target: what each of them runs.
    """

    what = "process"

    def __init__(self, target: Callable[[Connection, Task], None] = work) -> None:
        self._target = target

    def start(self, task: Task) -> Process:
        """Start one more."""
        return Process(task, self._target)

    def wait(self, members: Sequence[Process], seconds: float) -> Iterator[tuple[Process, Item | None]]:
        """What processes say within some time; None for one that ended."""
        pipes: dict[Any, Process] = {member.pipe: member for member in members}
        for pipe in wait(list(pipes), timeout=seconds):
            member = pipes[pipe]
            item = member.receive()
            if item is None:
                member.process.join(5.0)
            yield member, item

    def pause(self) -> None:
        """Wait a moment before the next one starts."""
        time.sleep(_PAUSE)


def _how(code: int | None) -> str:
    if code is not None and code < 0:
        with suppress(ValueError):
            return f"ended by {signal.Signals(-code).name}"
    return f"ended with code {code}"
