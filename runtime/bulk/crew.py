"""Who decides shards: members of a pool, whether processes of this machine or actors of a cluster."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import Generic, Protocol, TypeVar

from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.runtime.bulk.worker import At, Done, Failed, Ready, Task

Item = Ready | At | Done | Failed


class Member(ABC):
    """One that decides, and the shard that it works on.

    Attributes:
        ready: what it says of its detector; None before.
        shard: that it works on.
        at: the image that it works on, where that is known.
        done: images of the shard that are done.
    """

    def __init__(self) -> None:
        self.ready: Ready | None = None
        self.shard: Shard | None = None
        self.at: int | None = None
        self.done = 0

    def give(self, shard: Shard) -> None:
        """Give it a shard."""
        self.shard, self.at, self.done = shard, None, 0
        self.begin(shard)

    @abstractmethod
    def begin(self, shard: Shard) -> None:
        """Let it begin with a shard."""

    @abstractmethod
    def ask(self) -> None:
        """Ask for the rows so far."""

    @abstractmethod
    def end(self) -> str:
        """End it; returns how it had ended before, if it had."""


M = TypeVar("M", bound=Member)


class Crew(Protocol, Generic[M]):
    """Starts members, and hears what they say.

    Attributes:
        what: the word for one of them.
    """

    what: str

    def start(self, task: Task) -> M:
        """Start one more."""

    def wait(self, members: Sequence[M], seconds: float) -> Iterator[tuple[M, Item | None]]:
        """What members say within some time; None for one that ended."""

    def pause(self) -> None:
        """Wait a moment before the next one starts."""
