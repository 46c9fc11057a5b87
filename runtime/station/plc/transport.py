"""What the ways to a PLC have in common: they show an image of the signals, and pass commands on."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Protocol

from dmdd_edge.runtime.station.model import Origin
from dmdd_edge.runtime.station.plc.signals import Values, off

#: How long a client's write waits until the handshake has seen it, in seconds. What the write caused is then
#: visible to the client's next read. It takes less than 1 ms; the limit concerns a machine without time.
_SEEN_SECONDS = 0.25


@dataclass(frozen=True)
class Image:
    """All signals at one moment.

    Attributes:
        commands: last values that the PLC wrote.
        status: the station's values.
    """

    commands: Values = field(default_factory=lambda: off("command"))
    status: Values = field(default_factory=lambda: off("status"))


@dataclass(frozen=True)
class Command:
    """Signals that one request of a client wrote.

    Attributes:
        values: by name.
        origin: how they came.
        since: when they came, by ``time.perf_counter``.
    """

    values: Values
    origin: Origin
    since: float = field(default_factory=time.perf_counter)
    _seen: threading.Event = field(default_factory=threading.Event)

    def seen(self) -> None:
        """The handshake has taken it, and the image shows that."""
        self._seen.set()

    def wait(self) -> None:
        """Wait until it is seen, but not long."""
        self._seen.wait(_SEEN_SECONDS)


#: Passes a command to the handshake; returns at once.
Pass = Callable[[Command], None]


class Transport(Protocol):
    """A server or a set of lines on which a PLC sees the signals.

    Attributes:
        address: where it can be reached, for people.
        warnings: what somebody should know about it; sentences.
    """

    address: str
    warnings: tuple[str, ...]

    def publish(self, image: Image) -> None:
        """Show an image; called from one thread, in order, and returns at once whatever the clients do."""
        ...

    def close(self) -> None:
        """Stop; the last image was published before. May be called twice."""
        ...
