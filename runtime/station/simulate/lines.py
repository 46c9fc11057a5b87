"""24 V lines that are only printed."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dmdd_edge.runtime.station.gpio.outputs import Outputs
from dmdd_edge.runtime.station.model import Missed, PartResult, StationState
from dmdd_edge.runtime.station.settings import GpioSettings

#: How often the lines are looked at while none is to change, in seconds.
_LOOK_SECONDS = 0.2


class PrintedLines:
    """An observer that says what the output lines would do, with their pulses and delays.

    Args:
        settings: the lines.
        say: receives one line per change.
    """

    def __init__(self, settings: GpioSettings, say: Callable[[str], None]) -> None:
        self._outputs, self._say = Outputs(settings), say
        self._shown: dict[str, bool] = {}
        self._changed = threading.Condition()
        self._closed = False
        self._thread = threading.Thread(target=self._work, name="dmdd-lines", daemon=True)
        self._thread.start()

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        at = part.trigger.since + part.latency_ms / 1000
        with self._changed:
            self._outputs.begin(part.trigger.since)
            self._outputs.verdict(at, part.passed)
            self._changed.notify()

    def missed(self, missed: Missed) -> None:
        """A trigger was refused, so its part is a reject."""
        with self._changed:
            self._outputs.refused(time.perf_counter())
            self._changed.notify()

    def changed(self, state: StationState) -> None:
        """The state is another one."""
        with self._changed:
            self._outputs.state(state.ready, state.fault, state.online)
            self._changed.notify()

    def close(self) -> None:
        """Take *pass* and *ready* back."""
        with self._changed:
            self._outputs.state(ready=False, fault=False, online=False)
            self._closed = True
            self._changed.notify()
        self._thread.join(1.0)

    def _work(self) -> None:
        while True:
            with self._changed:
                closed, now = self._closed, time.perf_counter()
                self._outputs.advance(now)
                values = self._outputs.values()
            for name, value in values.items():
                if self._shown.get(name) != value:
                    self._shown[name] = value
                    self._say(f"24 V line {name} {'on' if value else 'off'}")
            if closed:
                return
            with self._changed:
                self._changed.wait(min(max(self._outputs.next - now, 0.0), _LOOK_SECONDS))
