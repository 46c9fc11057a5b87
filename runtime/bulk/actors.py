"""The actors of a Ray cluster that decide shards: Ray places them, each with a detector."""

from __future__ import annotations

import os
import socket
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from dmdd_edge.cluster.board import Board
from dmdd_edge.cluster.connection import on_node, own_node, problem_of
from dmdd_edge.cluster.node_check import look
from dmdd_edge.errors import DmddError
from dmdd_edge.fleet.address import local_folder
from dmdd_edge.runtime.bulk.crew import Item, Member
from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import At, Decider, Done, Failed, Ready, Task


class ShardActor:
    """Decides shards on a node.

    Args:
        board: the actor of the board.
        name: by which it writes there.
    """

    def __init__(self, board: Any, name: str) -> None:
        self._board, self._name = board, name
        self._decider: Decider | None = None
        self._asked = 0

    def load(self, task: Task) -> Ready | Failed:
        """Load the detector; says why it cannot."""
        folder = local_folder(task.source)
        problem: DmddError | None = problem_of(socket.gethostname(), look([task.model]))
        if (
            problem is None
            and folder is not None
            and folder.is_dir()
            and next(os.scandir(folder), None) is None
        ):
            problem = DmddError(
                f"{folder} is empty on {socket.gethostname()}.", "Mount the images there, and continue."
            )
        try:
            if problem is not None:
                raise problem
            self._decider = Decider(task)
        except DmddError as error:
            return Failed(error.message, error.fix)
        except Exception as error:
            return Failed(f"{type(error).__name__}: {error}", expected=False)
        return self._decider.ready

    def decide(self, number: int, shard: Shard) -> Done | Failed:
        """Decide a shard.

        Args:
            number: of the shard, among those of this actor; from 1.
            shard: which images.
        """
        assert self._decider is not None

        def at(index: int, done: int) -> None:
            written = self._board.post.remote(self._name, (number, At(index, done)))
            if shard.careful:  # known before the image can end this process
                written.future().result()

        try:
            return self._decider.decide(shard, lambda: self._asked >= number, at)
        except DmddError as error:
            return Failed(error.message, error.fix)
        except Exception as error:
            return Failed(f"{type(error).__name__}: {error}", expected=False)

    def ask(self, number: int) -> None:
        """End a shard with the rows so far; runs beside ``decide``."""
        self._asked = number


class ActorMember(Member):
    """An actor, and what it was asked last.

    Args:
        ray: the module, connected.
        handle: of the actor.
        name: by which it writes to the board.
        task: what it needs to know.
    """

    def __init__(self, ray: Any, handle: Any, name: str, task: Task) -> None:
        super().__init__()
        self.name, self.number, self.how = name, 0, "ended by the command"
        self._ray, self._handle = ray, handle
        self.answer: Any = handle.load.remote(task)

    def begin(self, shard: Shard) -> None:
        """Let it begin with a shard."""
        self.number += 1
        self.answer = self._handle.decide.remote(self.number, shard)

    def ask(self) -> None:
        """Ask for the rows so far."""
        self._handle.ask.remote(self.number)

    def end(self) -> str:
        """End the actor; returns how it had ended before, if it had."""
        with suppress(Exception):  # it may be gone
            self._ray.kill(self._handle)
        return self.how


class Actors:
    """Actors of a cluster.

    Args:
        ray: the module, connected.
        resources: that each of them takes.
    """

    what = "actor"

    def __init__(self, ray: Any, resources: Mapping[str, float]) -> None:
        self._ray = ray
        self._actor = ray.remote(ShardActor).options(
            **resources, max_restarts=0, max_task_retries=0, max_concurrency=2
        )
        self._board = ray.remote(Board).options(**on_node(ray, own_node(ray))).remote()

    def start(self, task: Task) -> ActorMember:
        """Start one more, when Ray has room for it."""
        name = uuid.uuid4().hex
        return ActorMember(self._ray, self._actor.remote(self._board, name), name, task)

    def wait(
        self, members: Sequence[ActorMember], seconds: float
    ) -> Iterator[tuple[ActorMember, Item | None]]:
        """What actors say within some time; None for one that ended."""
        asked = {member.answer: member for member in members if member.answer is not None}
        if not asked:
            time.sleep(seconds)
            return
        answered, _ = self._ray.wait(list(asked), num_returns=len(asked), timeout=seconds)
        # What was written before an actor ended is read before its end is seen.
        by_name = {member.name: member for member in members}
        for name, (number, at) in self._ray.get(self._board.take.remote()):
            if name in by_name and by_name[name].number == number and by_name[name].shard is not None:
                yield by_name[name], at
        for ref in answered:
            member = asked[ref]
            member.answer = None
            yield member, self._said(member, ref)

    def pause(self) -> None:
        """Ray places the next one when it has room."""

    def _said(self, member: ActorMember, ref: Any) -> Item | None:
        try:
            item: Item = self._ray.get(ref)
            return item
        except self._ray.exceptions.RayActorError as error:
            text = str(error)
            member.how = "its machine or its process was lost"
            # An actor that cannot be made says so with its traceback: its last line is why.
            if "Error" in (last := text.strip().splitlines()[-1]) and "died" not in last:
                member.how = last
            return None
        except Exception as error:
            return Failed(f"{type(error).__name__}: {error}", expected=False)
