"""24 V lines as an observer of a station, and as one of those that trigger it."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable

from dmdd_edge.runtime.station.gpio.access import check_gpio
from dmdd_edge.runtime.station.gpio.driver import Driver
from dmdd_edge.runtime.station.gpio.outputs import Outputs
from dmdd_edge.runtime.station.gpio.trigger import TriggerReader
from dmdd_edge.runtime.station.model import Desk, ErrorCode, Missed, PartResult, StationState
from dmdd_edge.runtime.station.settings import GpioSettings

_LOG = logging.getLogger(__name__)


def _to_log(text: str) -> None:
    _LOG.warning("%s", text or "The 24 V lines work again.")


class Gpio:
    """Takes the lines when created: not ready, no *pass*, and ``reject`` where it is held.

    Whatever the station reports returns at once; a thread drives the lines. Triggers of the line are answered
    in their order, refused ones among them with ``reject``.

    Args:
        settings: the lines.
        desk: the station; called from a thread.
        missed: called with each edge that the station does not learn of otherwise: lost in the kernel, or
            read too late to act on. A station's is ``StationDesk.refused``.
        trouble: called with what is wrong with the lines, and with an empty text when they work again. A
            station's is ``StationDesk.output``.

    Raises:
        DmddError: the lines cannot be taken; see ``check_gpio``.
    """

    def __init__(
        self,
        settings: GpioSettings,
        desk: Desk,
        missed: Callable[[Missed], None] = lambda _: None,
        trouble: Callable[[str], None] = _to_log,
    ) -> None:
        problems = check_gpio(settings)
        if problems:
            raise problems[0]
        self._desk, self._missed, self._trouble = desk, missed, trouble
        #: Acquisition ids of the line's own triggers without a verdict, in order; None is a refused one.
        self._open: deque[int | None] = deque()
        self._lock = threading.Lock()
        # Newest acquisition id that was triggered and that has its verdict, and whether the first waits for
        # one. They are compared for equality only, since ids begin again after the largest.
        self._newest = self._answered = 0
        self._awaited = False
        self._problems = {"outputs": "", "trigger": ""}
        self._closed = False
        self._driver = Driver(settings, lambda text: self._report("outputs", text))
        try:
            self._reader = TriggerReader(
                settings, self._edge, self._unseen, lambda text: self._report("trigger", text)
            )
        except BaseException:
            self._driver.close()
            raise

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        number, at = part.trigger.acquisition_id, part.trigger.since + part.latency_ms / 1000
        self._answered = number
        if number == self._newest:
            self._awaited = False
        awaited = self._awaited
        self._driver.do(lambda outputs: self._verdict(outputs, number, at, part.passed, awaited))

    def missed(self, missed: Missed) -> None:
        """A trigger was refused; those of the line are known already, and have their place in the order."""
        if missed.origin != "gpio":
            self._driver.do(_refused)

    def changed(self, state: StationState) -> None:
        """The state is another one."""
        newer = state.triggered not in (self._newest, self._answered)
        self._awaited = self._awaited or newer
        self._newest = state.triggered

        def change(outputs: Outputs) -> None:
            if newer:
                outputs.begin(time.perf_counter())
            outputs.state(state.ready, state.fault, state.online)

        self._driver.do(change)

    def close(self) -> None:
        """Take *pass* and *ready* back at once, let pulses of ``reject`` end, release the lines."""
        if not self._closed:
            self._closed = True
            self._driver.do(_end)
            self._reader.close()
            self._driver.close()

    def _edge(self, since: float) -> None:
        self._driver.do(lambda outputs: outputs.begin(since))
        with self._lock:  # so that no verdict comes between the answer and its place in the order
            answer = self._desk.trigger("gpio", since=since)
            self._open.append(None if isinstance(answer, ErrorCode) else answer)
        self._driver.do(self._answer_refused)

    def _unseen(self, since: float) -> None:
        wall = time.time() - (time.perf_counter() - since)
        self._missed(Missed(part_id=None, origin="gpio", time=wall, code=ErrorCode.QUEUE_OVERFLOW))
        with self._lock:
            self._open.append(None)
        self._driver.do(self._answer_refused)

    def _verdict(self, outputs: Outputs, part: int, at: float, passed: bool, awaited: bool) -> None:
        with self._lock:
            mine = part in self._open
            while mine and self._open[0] != part:
                # Results come in order, so whatever was before it is not looked at any more.
                self._open.popleft()
                outputs.refused(at)
            if mine:
                self._open.popleft()
            newest = not self._open and not awaited
        outputs.verdict(at, passed, newest)
        self._answer_refused(outputs)

    def _answer_refused(self, outputs: Outputs) -> None:
        """Say *reject* for the refused triggers that wait for no part before them."""
        with self._lock:
            while self._open and self._open[0] is None:
                self._open.popleft()
                outputs.refused(time.perf_counter())

    def _report(self, what: str, text: str) -> None:
        self._problems[what] = text
        self._trouble(" ".join(filter(None, self._problems.values())))


def _refused(outputs: Outputs) -> None:
    now = time.perf_counter()
    outputs.begin(now)
    outputs.refused(now)


def _end(outputs: Outputs) -> None:
    outputs.state(ready=False, fault=outputs.values().get("fault", False), online=False)
