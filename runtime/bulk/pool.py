"""Works on shards with several members: one that ends in the middle is replaced, another takes its shard."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Any

from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.runtime.bulk.crew import Crew, Member
from dmdd_edge.runtime.bulk.processes import Processes
from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import At, Done, Failed, Ready, Task

#: How many members may end before one of them has a detector.
_STARTS = 3
#: Seconds between two looks at whether to end.
_TICK = 0.2


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


class Pool:
    """Works on shards with several members.

    Args:
        task: what the members need to know.
        accept: called with what each of them says of its detector; raises to refuse it.
        stopping: whether to end with the rows so far.
        crew: starts the members; by default processes of this machine.

    Attributes:
        lost: how many members ended in the middle.
        processes: the most that worked at once.
    """

    def __init__(
        self,
        task: Task,
        accept: Callable[[Ready], None],
        stopping: Callable[[], bool],
        crew: Crew[Any] | None = None,
    ) -> None:
        self.lost = self.processes = 0
        self._task, self._accept, self._stopping = task, accept, stopping
        self._crew: Crew[Any] = crew or Processes()
        self._members: list[Member] = [self._crew.start(task)]
        self._again: deque[Shard] = deque()
        self._wanted = 1
        self._failed_starts = 0
        self._stopped = False

    def __enter__(self) -> Pool:
        return self

    def __exit__(self, *error: object) -> None:
        for member in self._members:
            member.end()
        self._members = []

    def first_ready(self) -> Ready:
        """Wait for the first member.

        Raises:
            DmddError: the detector cannot be loaded.
        """
        while True:
            for _ in self._events():
                pass
            for member in self._members:
                if member.ready is not None:
                    return member.ready
            if self._stopping():
                raise KeyboardInterrupt

    def use(self, task: Task, jobs: int) -> None:
        """Let this many members work, with this task from now on."""
        self._task, self._wanted = task, jobs

    def work(self, shards: Iterator[Shard]) -> Iterator[Event]:
        """Work on all shards; what is left of a shard that ends early comes later.

        Raises:
            DmddError: a backend failed, or no member lives long enough.
        """
        more = True
        while True:
            if self._stopping() and not self._stopped:
                self._stopped = True
                for member in self._members:
                    if member.shard is not None:
                        member.ask()
            if not self._stopped:
                more = self._share_out(shards, more)
            if not any(member.shard for member in self._members) and (
                self._stopped or not (more or self._again)
            ):
                return
            for first, done in self._events():
                yield Event(first, done, sum(member.done for member in self._members))
            yield Event(0, None, sum(member.done for member in self._members))

    def _share_out(self, shards: Iterator[Shard], more: bool) -> bool:
        while len(self._members) < self._wanted and (more or self._again):
            self._members.append(self._crew.start(self._task))
        self.processes = max(self.processes, len(self._members))
        for member in self._members:
            if member.ready is None or member.shard is not None:
                continue
            shard = self._again.popleft() if self._again else next(shards, None) if more else None
            if shard is None:
                return False
            member.give(shard)
        return more

    def _events(self) -> Iterator[tuple[int, Done]]:
        """What the members say within a moment."""
        for member, item in self._crew.wait(self._members, _TICK):
            if isinstance(item, Ready):
                self._accept(item)
                member.ready, self._failed_starts = item, 0
            elif isinstance(item, At):
                member.at, member.done = item.index, item.done
            elif isinstance(item, Done):
                shard, member.shard, member.done = member.shard, None, 0
                assert shard is not None
                if left := shard.names[item.images :]:
                    self._again.append(replace(shard, first=shard.first + item.images, names=left))
                if item.images:
                    yield shard.first, item
            else:
                self._ended(member, item)

    def _ended(self, member: Member, failed: Failed | None) -> None:
        """Replace a member that ended, and keep its shard for another one."""
        self._members.remove(member)
        how = member.end()
        if failed is not None and failed.expected:
            raise DmddError(failed.message, failed.fix)
        why = failed.message if failed is not None else how
        shard = member.shard
        if shard is None:
            self._failed_starts += 1
            if self._failed_starts >= _STARTS:
                raise BackendError(
                    f"Each {self._crew.what} ends before it has a detector: {why}.",
                    "See what works: dmdd-edge doctor, and use fewer --jobs if memory is short.",
                )
            if not self._members:
                self._members.append(self._crew.start(self._task))
                self._crew.pause()
            return
        self.lost += 1
        at = member.at if shard.careful else None
        if at is not None and at == shard.last_at:
            shard.fatal[at] = f"The {self._crew.what} that worked on it ended twice: {why}."
        shard.last_at = at
        shard.deaths += 1
        self._again.appendleft(shard)
