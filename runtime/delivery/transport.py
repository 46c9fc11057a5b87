"""What the sender of messages asks of a way to deliver them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dmdd_edge.runtime.delivery.spool import Message


@dataclass(frozen=True)
class Refusal:
    """Why a receiver did not take a message.

    Attributes:
        reason: without secrets.
        final: the message itself is at fault, so that it will never be taken. False: the receiver, or a proxy
            before it, may take it later, for example after a restart.
        retry_after: seconds that the receiver asked to be left alone; None when it did not.
    """

    reason: str
    final: bool = True
    retry_after: float | None = None


#: Called for each message in order: with None when the receiver has it, otherwise with why it refused it.
#: Raises ``UnreachableError`` when the message is to be sent again.
Done = Callable[[Message, Refusal | None], None]


class UnreachableError(Exception):
    """The receiver cannot be had, or could not take a message now; later it may.

    Args:
        reason: why, without secrets.
        retry_after: seconds that the receiver asked to be left alone; None when it did not.
        kind: of the notice to a person; one of another kind is not held back by a recent ``outage``.
    """

    def __init__(self, reason: str, retry_after: float | None = None, kind: str = "outage") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.kind = kind


class Transport(Protocol):
    """A way to one receiver. Used by one thread; but for ``abort``."""

    @property
    def name(self) -> str:
        """The receiver's address, without secrets."""
        ...

    @property
    def window(self) -> int:
        """How many messages are best handed over at once."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the receiver was there when it was last asked."""
        ...

    def watch(self, lost: Callable[[], None]) -> None:
        """Have ``lost`` called, from any thread, when an open connection ends by itself."""
        ...

    def open(self) -> None:
        """Connect, unless connected; does nothing where each message connects by itself.

        Raises:
            UnreachableError: the receiver cannot be had.
        """
        ...

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        """Hand messages over, in order, and report on each; what was not reported on may have arrived or not.

        Raises:
            UnreachableError: at some message the receiver was gone, or asked to wait; or ``done`` raised it.
        """
        ...

    def abort(self) -> None:
        """Make whatever goes on end soon, in ``UnreachableError``. From any thread, and for good."""
        ...

    def close(self) -> None:
        """Take leave of the receiver, within two seconds."""
        ...
