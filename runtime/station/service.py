"""Tell systemd how a station is: ready, its status in a line, that its loop turns, and that it ends.

The protocol is that of ``sd_notify(3)``: datagrams to the socket that ``NOTIFY_SOCKET`` names. Without it, as
in a terminal, there is nothing to tell and ``open_service`` returns None.
"""

from __future__ import annotations

import logging
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping

from dmdd_edge.messages.text import visible
from dmdd_edge.runtime.station.model import Missed, PartResult, StationState

_LOG = logging.getLogger(__name__)
#: Longest time between two looks at the state, in seconds; the watchdog's time may ask for a shorter one.
_TICK = 1.0
#: Longest status line, in characters.
_LONGEST = 300


class Notifier:
    """Sends to the service manager; whatever fails is written to the log once, and work continues.

    Args:
        address: the value of ``NOTIFY_SOCKET``: a path, or ``@`` and a name in the abstract namespace.
    """

    def __init__(self, address: str) -> None:
        self._address = "\0" + address[1:] if address.startswith("@") else address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_CLOEXEC)
        self._socket.setblocking(False)
        self._failed = False

    def send(self, **fields: object) -> None:
        """Send the fields in one datagram, such as ``READY=1``."""
        text = "\n".join(f"{name}={visible(str(value))}" for name, value in fields.items())
        try:
            self._socket.sendto(text.encode(), self._address)
            self._failed = False
        except OSError as error:
            if not self._failed:
                _LOG.warning("systemd cannot be notified: %s.", error.strerror or error)
            self._failed = True

    def close(self) -> None:
        """Close the socket."""
        self._socket.close()


class Service:
    """An observer that keeps systemd informed from a small thread; created by ``open_service``.

    Args:
        notifier: where to.
        alive: whether the station's loop, its graph and its writers really turn. When it says no, raises or
            does not return, the watchdog is not fed, and systemd restarts the station.
        watchdog: seconds after which systemd misses the sign of life; None without a watchdog.
    """

    def __init__(self, notifier: Notifier, alive: Callable[[], bool], watchdog: float | None) -> None:
        self._notifier, self._alive, self._watchdog = notifier, alive, watchdog
        self._state = StationState()
        self._ready = self._reloading = self._silent = False
        self._status = ""
        self._lock = threading.Lock()
        self._ended = threading.Event()
        # systemd advises half of its time; a third leaves room for a machine that is busy.
        self._tick = _TICK if watchdog is None else min(_TICK, watchdog / 3)
        self._thread = threading.Thread(target=self._run, name="systemd", daemon=True)
        self._thread.start()

    def part(self, part: PartResult) -> None:
        """Nothing: the state has the counts."""

    def missed(self, missed: Missed) -> None:
        """Nothing: the state has the counts."""

    def changed(self, state: StationState) -> None:
        """READY when the first recipe is warm, RELOADING while another one is loaded."""
        with self._lock:
            self._state = state
            if not self._ready:
                if state.online and state.recipe:
                    self._ready = True
                    self._notifier.send(READY=1, STATUS=self._new_status())
            elif bool(state.changing_to) != self._reloading:
                self._reloading = bool(state.changing_to)
                if self._reloading:
                    self._notifier.send(RELOADING=1, MONOTONIC_USEC=time.monotonic_ns() // 1000)
                else:
                    self._notifier.send(READY=1, STATUS=self._new_status())

    def close(self) -> None:
        """STOPPING; systemd expects no sign of life after it."""
        with self._lock:
            if self._ended.is_set():
                return
            self._ended.set()
            self._notifier.send(STOPPING=1, STATUS="Stopping.")
        self._thread.join(2 * _TICK)
        if not self._thread.is_alive():  # else ``alive`` hangs, and the thread may still use the socket
            self._notifier.close()

    def _run(self) -> None:
        while not self._ended.wait(self._tick):
            if self._watchdog is not None and self._turns():
                self._notifier.send(WATCHDOG=1)
            with self._lock:
                if not self._ended.is_set() and status_line(self._state) != self._status:
                    self._notifier.send(STATUS=self._new_status())

    def _turns(self) -> bool:
        try:
            turns = self._alive()
        except Exception:
            if not self._silent:
                _LOG.exception("It is unknown whether the station works.")
            turns = False
        if turns == self._silent:
            self._silent = not turns
            if not turns:
                _LOG.error("The station hangs; systemd will restart it in %g s.", self._watchdog)
        return turns

    def _new_status(self) -> str:
        self._status = status_line(self._state)
        return self._status


def open_service(alive: Callable[[], bool], environment: Mapping[str, str] = os.environ) -> Service | None:
    """The observer for systemd.

    Args:
        alive: see ``Service``.
        environment: that systemd gave this process.

    Returns:
        None when this process is not started as a service of ``Type=notify``.
    """
    address = environment.get("NOTIFY_SOCKET", "")
    if address[:1] not in ("/", "@"):
        return None
    return Service(Notifier(address), alive, watchdog_seconds(environment))


def watchdog_seconds(environment: Mapping[str, str]) -> float | None:
    """After how many seconds systemd misses the sign of life; None when it does not watch this process."""
    microseconds, process = environment.get("WATCHDOG_USEC", ""), environment.get("WATCHDOG_PID", "")
    if process not in ("", str(os.getpid())) or not microseconds.isdecimal() or not int(microseconds):
        return None
    return int(microseconds) / 1e6


def status_line(state: StationState) -> str:
    """The state in a line for ``systemctl status``."""
    if not state.recipe:
        doing = state.message or "Starting."
        return doing[:_LONGEST]
    name = f" ({state.recipe_name})" if state.recipe_name else ""
    suspect = f"{state.suspect} suspect, " if state.suspect else ""
    counts = f"{state.parts} parts, {state.anomalous} anomalous, {suspect}{state.unreliable} unreliable"
    line = f"Recipe {state.recipe}{name}: {counts}, {state.missed} missed."
    if state.changing_to:
        line = f"Loading recipe {state.changing_to}. {line}"
    if state.fault:
        line = f"Fault {int(state.code)}: {state.message or state.code.name} {line}"
    elif state.message:
        line = f"{state.message} {line}"
    return " ".join(line.split())[:_LONGEST]
