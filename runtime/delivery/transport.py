"""The transport protocol: how messages reach one receiver."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from dmdd_edge.runtime.delivery.spool import Message


@dataclass(frozen=True)
class Refusal:
    """Why a receiver rejected a message.

    Attributes:
        reason: without secrets.
        final: the message itself is at fault and will never be accepted. False: the receiver, or a proxy in
            front of it, may accept it later, for example after a restart.
        retry_after: delay that the receiver requested, in seconds; None if it did not.
    """

    reason: str
    final: bool = True
    retry_after: float | None = None


#: Called for each message in order, with None if the receiver accepted it, or with the refusal.
#: Raises ``UnreachableError`` if the message must be sent again.
Done = Callable[[Message, Refusal | None], None]


class UnreachableError(Exception):
    """The receiver is unreachable, or cannot accept a message now; later it may.

    Args:
        reason: why, without secrets.
        retry_after: delay that the receiver requested, in seconds; None if it did not.
        kind: of the notice to a person; a recent ``outage`` does not suppress a notice of another kind.
    """

    def __init__(self, reason: str, retry_after: float | None = None, kind: str = "outage") -> None:
        super().__init__(reason)
        self.reason = reason
        self.retry_after = retry_after
        self.kind = kind


class Transport(Protocol):
    """Sends messages to one receiver. Used by one thread, except for ``abort``."""

    @property
    def name(self) -> str:
        """The receiver's address, without secrets."""
        ...

    @property
    def window(self) -> int:
        """Best number of messages for one call of ``deliver``."""
        ...

    @property
    def connected(self) -> bool:
        """Whether the receiver was reachable at the last attempt."""
        ...

    def watch(self, lost: Callable[[], None]) -> None:
        """Set the function that is called, from any thread, when an open connection is lost."""
        ...

    def open(self) -> None:
        """Connect, unless connected; no effect if each message connects by itself.

        Raises:
            UnreachableError: the receiver is unreachable.
        """
        ...

    def deliver(self, messages: Sequence[Message], done: Done) -> None:
        """Send messages in order and report each one; a message without a report may have arrived or not.

        Raises:
            UnreachableError: the receiver was lost, or requested a delay; or ``done`` raised it.
        """
        ...

    def abort(self) -> None:
        """End the current call soon with ``UnreachableError``, and all later ones. From any thread."""
        ...

    def close(self) -> None:
        """Disconnect cleanly within two seconds."""
        ...
