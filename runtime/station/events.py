"""Tells the observers what a station does: in order, from one thread."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from operator import methodcaller

from dmdd_edge.runtime.station.model import Missed, Observer, PartResult, StationState

_LOG = logging.getLogger(__name__)
#: How long the end waits for the observers, in seconds.
_LEAVE_SECONDS = 5.0
#: An observer that is called for that long is stuck, in seconds; it must return at once.
STUCK_SECONDS = 10.0


class Events:
    """Passes events to observers, who never hold up the one who reports them.

    A change of what a PLC acts upon (``online``, ``ready``, a fault, the recipe) is always reported, however
    short it is. Several other changes in a row are reported once, with the latest state.

    Args:
        state: returns the state now.
        failed: called with a sentence when an observer raises, which must not happen.
    """

    def __init__(self, state: Callable[[], StationState], failed: Callable[[str], None]) -> None:
        self._state, self._failed = state, failed
        self._observers: list[Observer] = []
        self._told: StationState | None = None
        self._noted: tuple[object, ...] = ()
        self._waiting: queue.SimpleQueue[PartResult | Missed | StationState | str] = queue.SimpleQueue()
        self._change_waits = threading.Event()
        self._busy = ""
        self._busy_since: float | None = None
        self._thread = threading.Thread(target=self._work, name="dmdd-events", daemon=True)
        self._thread.start()

    @property
    def stuck(self) -> str:
        """Which observer does not return, as a sentence; empty while all do."""
        since, name = self._busy_since, self._busy
        if since is None or time.perf_counter() - since < STUCK_SECONDS:
            return ""
        return f"{name} has not returned for {STUCK_SECONDS:g} s."

    def observe(self, observer: Observer) -> None:
        """Tell another observer too, from now on."""
        self._observers.append(observer)
        self._told = None
        self.changed()

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        self._waiting.put(part)

    def missed(self, missed: Missed) -> None:
        """A trigger was refused."""
        self._waiting.put(missed)

    def changed(self) -> None:
        """The state may be another one."""
        state = self._state()
        signals = (state.online, state.ready, state.fault, state.code, state.recipe, state.changing_to)
        if signals != self._noted:
            self._noted = signals
            self._waiting.put(state)
        elif not self._change_waits.is_set():
            self._change_waits.set()
            self._waiting.put("changed")

    def close(self) -> None:
        """Tell the rest, then close the observers."""
        self._waiting.put("close")
        self._thread.join(_LEAVE_SECONDS)

    def _work(self) -> None:
        while (event := self._waiting.get()) != "close":
            if isinstance(event, PartResult):
                self._tell("part", methodcaller("part", event))
            elif isinstance(event, Missed):
                self._tell("missed", methodcaller("missed", event))
            else:
                self._change_waits.clear()
                if isinstance(event, StationState):
                    self._tell_state(event)
            if self._waiting.empty():
                # States may be noted out of order; the last one that is reported is the one now.
                self._tell_state(self._state())
        self._tell_state(self._state())
        self._tell("close", methodcaller("close"))

    def _tell_state(self, state: StationState) -> None:
        if state != self._told:
            self._told = state
            self._tell("changed", methodcaller("changed", state))

    def _tell(self, what: str, call: Callable[[Observer], None]) -> None:
        for observer in tuple(self._observers):
            self._busy, self._busy_since = type(observer).__name__, time.perf_counter()
            try:
                call(observer)
            except Exception as error:
                name = type(observer).__name__
                _LOG.exception("%s failed to take an event (%s).", name, what)
                self._failed(f"{name} failed: {type(error).__name__}: {error}.")
        self._busy_since = None
