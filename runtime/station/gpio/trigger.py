"""The thread that waits for edges of the trigger line."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.delivery.backoff import Backoff
from dmdd_edge.runtime.station.gpio.access import reason_of, request_trigger
from dmdd_edge.runtime.station.settings import GpioSettings

if TYPE_CHECKING:
    from gpiod import EdgeEvent, LineRequest

#: Seconds after which an edge is too old to act on: its part is gone, and a frame would show another one.
STALE = 1.0
#: Seconds between two looks at whether to end.
_LOOK = 0.2

_LOG = logging.getLogger(__name__)


class TriggerReader:
    """Takes the trigger line when created, and calls back with each edge until it is closed.

    Args:
        settings: the lines.
        edge: called with when an edge came, by ``time.perf_counter``, as the kernel stamped it.
        missed: called with when an edge came that is too old to act on, or was lost in the kernel.
        trouble: see ``Driver``.

    Raises:
        DmddError: the line cannot be taken.
    """

    def __init__(
        self,
        settings: GpioSettings,
        edge: Callable[[float], None],
        missed: Callable[[float], None],
        trouble: Callable[[str], None],
    ) -> None:
        self._settings, self._edge, self._missed, self._trouble = settings, edge, missed, trouble
        self._request: LineRequest | None = request_trigger(settings)
        self._sequence = 0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="gpio trigger", daemon=True)
        if self._request is not None:
            self._thread.start()

    def close(self) -> None:
        """Release the line; no edge is reported after this. Not from its callbacks."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join(10 * _LOOK)

    def _run(self) -> None:
        backoff = Backoff(0.5, 10.0)
        while not self._ended.is_set():
            try:
                if self._request is None:
                    self._request, self._sequence = request_trigger(self._settings), 0
                    self._trouble("")
                self._read(self._request)
                backoff.reset()
            except (OSError, DmddError) as error:
                if self._request is not None:
                    self._request.release()
                    self._request = None
                self._trouble(f"The trigger line of {self._settings.chip} cannot be read: {reason_of(error)}")
                self._ended.wait(backoff.delay())
        if self._request is not None:
            self._request.release()

    def _read(self, request: LineRequest | None) -> None:
        if request is None or not request.wait_edge_events(_LOOK):
            return
        for event in request.read_edge_events():
            if self._ended.is_set():
                return
            try:
                self._report(event)
            except Exception:  # a bug must not stop the triggers of a line that runs for months
                _LOG.exception("An edge of the trigger line could not be reported.")

    def _report(self, event: EdgeEvent) -> None:
        # The kernel counts edges also while its buffer is full and drops the oldest.
        lost = event.line_seqno - self._sequence - 1
        self._sequence = event.line_seqno
        since = event.timestamp_ns / 1e9
        for _ in range(lost):
            self._missed(since)
        if time.perf_counter() - since > STALE:
            self._missed(since)
        else:
            self._edge(since)
