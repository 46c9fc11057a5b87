"""The thread that drives the output lines: in order, on time, and never waited for by whoever decides."""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery.backoff import Backoff
from dmdd_edge.runtime.station.gpio.access import load_gpiod, reason_of, request_outputs
from dmdd_edge.runtime.station.gpio.outputs import Outputs, output_lines
from dmdd_edge.runtime.station.settings import GpioSettings

if TYPE_CHECKING:
    from gpiod import LineRequest

_LOG = logging.getLogger(__name__)
#: Seconds between two looks at whether the chip is still there.
_LOOK = 1.0
#: Seconds that the end waits at most beyond the longest delay and pulse of ``reject``.
_GRACE = 2.0


class Driver:
    """Takes the output lines when created, with safe levels, and drives them until it is closed.

    Lines that are lost meanwhile, such as those of a USB adapter, are taken again, with what they say then.

    Args:
        settings: the lines.
        trouble: called from the thread with what is wrong, and with an empty text when it no longer is.

    Raises:
        DmddError: the lines cannot be taken.
    """

    def __init__(self, settings: GpioSettings, trouble: Callable[[str], None]) -> None:
        self._settings, self._trouble = settings, trouble
        self._outputs = Outputs(settings)
        self._ids = {name: line.line for name, line in output_lines(settings).items()}
        self._written = self._outputs.values()
        self._request: LineRequest | None = request_outputs(settings, self._written)
        value = load_gpiod().line.Value
        self._levels = {False: value.INACTIVE, True: value.ACTIVE}
        self._backoff, self._retry = Backoff(0.5, 10.0), 0.0
        self._merged = 0
        self._changes: queue.SimpleQueue[Callable[[Outputs], None] | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="gpio outputs", daemon=True)
        self._thread.start()

    def do(self, change: Callable[[Outputs], None]) -> None:
        """Have the thread make a change of the outputs, after those before; returns at once."""
        self._changes.put(change)

    def close(self) -> None:
        """Let the pulses of ``reject`` that are due end, then release the lines."""
        if self._thread.is_alive():
            self._changes.put(None)
            reject = self._settings.reject
            pulse = 0.0 if reject is None else (reject.delay_ms + reject.pulse_ms) / 1000
            self._thread.join(pulse + _GRACE)

    def _run(self) -> None:
        outputs, ending = self._outputs, False
        while not (ending and not outputs.pending):
            now = time.perf_counter()
            due = outputs.next if self._request or not self._ids else min(outputs.next, self._retry)
            try:
                change = self._changes.get(timeout=min(max(due - now, 0.0), _LOOK))
            except queue.Empty:
                idle = due - now > _LOOK
            else:
                idle = False
                ending = ending or change is None
                if change is not None:
                    self._apply(change)
            outputs.advance(time.perf_counter())
            self._write(idle)
        if self._request is not None:
            self._request.release()

    def _apply(self, change: Callable[[Outputs], None]) -> None:
        try:
            change(self._outputs)
        except Exception:  # a bug must not leave a line at a level that says pass
            _LOG.exception("A change of the 24 V lines failed.")
            self._outputs.state(ready=False, fault=True, online=False)

    def _write(self, idle: bool) -> None:
        values = self._outputs.values()
        try:
            if self._request is None and self._ids and time.perf_counter() >= self._retry:
                self._request = request_outputs(self._settings, values)
                self._written = values
                self._backoff.reset()
                self._trouble("")
            if idle and self._request is not None:
                # Only reading tells that a chip is gone; while it is held, it cannot come back by its name.
                self._request.get_values()
            changed = {name: value for name, value in values.items() if value != self._written[name]}
            if changed and self._request is not None:
                self._request.set_values({self._ids[name]: self._levels[on] for name, on in changed.items()})
                self._written = values
        except (OSError, DmddError) as error:
            self._lost(error)
        if self._outputs.merged > self._merged:
            if not self._merged:
                _LOG.warning("Two pulses of a 24 V line became one: parts come faster than its pulse_ms.")
            self._merged = self._outputs.merged

    def _lost(self, error: OSError | DmddError) -> None:
        if self._request is not None:
            self._request.release()
            self._request = None
        self._retry = time.perf_counter() + self._backoff.delay()
        self._trouble(f"The 24 V outputs of {self._settings.chip} cannot be driven: {reason_of(error)}")
