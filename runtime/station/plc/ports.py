"""The ways to a PLC: one thread passes events to the handshake, and its outputs to every transport."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import ExitStack

from dmdd_edge.runtime.station.model import Desk, Missed, PartResult, StationState
from dmdd_edge.runtime.station.plc.handshake import Handshake
from dmdd_edge.runtime.station.plc.signals import off
from dmdd_edge.runtime.station.plc.transport import Command, Image, Pass, Transport
from dmdd_edge.runtime.station.settings import PlcSettings

_LOG = logging.getLogger(__name__)
#: Events that may wait. They are handled within microseconds, so more of them means that the station hangs.
_ROOM = 4096
#: How long closing waits for the thread, in seconds.
_LEAVE_SECONDS = 2.0

_Event = Command | PartResult | Missed | StationState
Opener = Callable[[Pass], Transport]


class PlcPorts:
    """An observer of the station that serves PLCs; ``open_plc`` makes one.

    Args:
        handshake: used by this object's thread alone from now on.
        openers: open the transports; each gets the function that takes commands.

    Attributes:
        addresses: where the transports can be reached, for people.
        warnings: what somebody should know about them; sentences.

    Raises:
        DmddError: a transport cannot be opened; the others are closed again.
    """

    def __init__(self, handshake: Handshake, openers: Iterable[Opener]) -> None:
        self._handshake = handshake
        self._events: deque[_Event] = deque()
        self._changed = threading.Condition()
        self._closing, self._crowded = False, False
        self._image = Image()
        with ExitStack() as opened:
            self._transports: list[Transport] = []
            for opener in openers:
                transport = opener(self._put)
                opened.callback(transport.close)
                self._transports.append(transport)
            opened.pop_all()
        self.addresses = tuple(each.address for each in self._transports)
        self.warnings = tuple(line for each in self._transports for line in each.warnings)
        self._thread = threading.Thread(target=self._work, name="dmdd-plc", daemon=True)
        self._thread.start()

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        self._put(part)

    def missed(self, missed: Missed) -> None:
        """A trigger was refused."""
        self._put(missed)

    def changed(self, state: StationState) -> None:
        """The state is another one."""
        self._put(state)

    def image(self) -> Image:
        """All signals now, for the page; from any thread."""
        return self._image

    def close(self) -> None:
        """Set every output to 0, then stop the transports. May be called twice."""
        with self._changed:
            self._closing = True
            self._changed.notify()
        self._thread.join(_LEAVE_SECONDS)
        # The thread has done it, unless a call of the station hangs in it.
        self._publish(Image(self._image.commands, off("status")))
        for transport in self._transports:
            transport.close()

    def _put(self, event: _Event) -> None:
        with self._changed:
            if self._closing:
                return
            if len(self._events) >= _ROOM:
                self._crowded = True
                return
            self._events.append(event)
            self._changed.notify()

    def _work(self) -> None:
        self._guarded(self._handshake.begin)
        while True:
            with self._changed:
                if not self._events and not self._closing:
                    self._changed.wait(max(0.0, self._handshake.due() - time.monotonic()))
                if self._closing:
                    break
                event = self._events.popleft() if self._events else None
                crowded, self._crowded = self._crowded, False
            if crowded:
                _LOG.error("Events for the PLC were lost: the station did not handle them in time.")
                self._handshake.fail()
            self._guarded(lambda event=event: self._handle(event))  # type: ignore[misc]
            self._publish(Image(self._handshake.commands(), self._handshake.outputs()))
            if isinstance(event, Command):
                event.seen()
        self._handshake.close()
        self._publish(Image(self._handshake.commands(), self._handshake.outputs()))

    def _handle(self, event: _Event | None) -> None:
        if isinstance(event, Command):
            self._handshake.write(event.values, event.origin, event.since)
        elif isinstance(event, PartResult):
            self._handshake.part(event)
        elif isinstance(event, Missed):
            self._handshake.missed(event)
        elif isinstance(event, StationState):
            self._handshake.changed(event)
        self._handshake.tick()

    def _guarded(self, action: Callable[[], None]) -> None:
        try:
            action()
        except Exception:
            _LOG.exception("The handshake with the PLC failed; this is a bug, please report it.")
            self._handshake.fail()

    def _publish(self, image: Image) -> None:
        if image == self._image:
            return
        self._image = image
        for transport in self._transports:
            try:
                transport.publish(image)
            except Exception:
                _LOG.exception("The signals cannot be published at %s.", transport.address)


def open_plc(
    settings: PlcSettings,
    desk: Desk,
    alive: Callable[[], bool],
    missed: Callable[[Missed], None] = lambda _: None,
) -> PlcPorts:
    """Open the ways to a PLC that a station file names.

    Args:
        settings: the servers, and how the handshake is done.
        desk: the station.
        alive: whether the station's loop really works; called about once per second, from another thread.
        missed: called, from another thread, with each trigger that the handshake refused by itself: the desk
            does not know of it.

    Raises:
        BackendError: a package is missing.
        OptionError: an address cannot be used.
    """
    openers: list[Opener] = []
    # Each server needs a package of an extra.
    if (modbus := settings.modbus) is not None:
        from dmdd_edge.runtime.station.plc.modbus import ModbusPort

        openers.append(lambda put: ModbusPort(modbus, put))
    if (opcua := settings.opcua) is not None:
        from dmdd_edge.runtime.station.plc.opcua import OpcUaPort

        openers.append(lambda put: OpcUaPort(opcua, put))
    return PlcPorts(Handshake(settings, desk, alive, missed), openers)
