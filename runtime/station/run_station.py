"""A station as a function, for Python."""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from dmdd_edge.arguments import check_callable, check_instance, checked_path
from dmdd_edge.runtime.callbacks import Caller
from dmdd_edge.runtime.sinks import Sink
from dmdd_edge.runtime.station.assembly import AssembledStation, Say
from dmdd_edge.runtime.station.file.read import read_station
from dmdd_edge.runtime.station.model import Missed, PartResult, StationState
from dmdd_edge.runtime.station.summary import StationSummary

#: How long the end waits for the caller's functions, in seconds.
_LEAVE_SECONDS = 30.0


def run_station(
    file: Path | str,
    *,
    on_part: Callable[[PartResult], None] | None = None,
    on_missed: Callable[[Missed], None] | None = None,
    sinks: Sequence[Sink] = (),
    stop: Callable[[], bool] = lambda: False,
    say: Say = logging.getLogger("dmdd_edge").info,
) -> StationSummary:
    """Run the station of a station file until it is stopped; nothing is printed.

        from dmdd_edge import run_station

        def report(part):
            print(part.trigger.part_id, "passes" if part.passed else part.status)

        run_station("line1.toml", on_part=report)

    The PLC, the 24 V lines and the files that the station file names never wait for the functions that are
    passed here.

    Args:
        file: the station file.
        on_part: called with each part that has its verdict, in order, from a separate thread.
        on_missed: called with each trigger that was not looked at, from the same thread.
        sinks: the caller's own sinks: they receive the frame and the result of each inspection, after the
            files that the station file names.
        stop: polled twenty times per second; true ends the station after the parts that were accepted.
        say: receives what a person should know, one line each; default: Python's log.

    Raises:
        DmddError: the file has a mistake, a port or a line cannot be used, the recipe at the start cannot be
            loaded, or the graph failed again and again. Also whatever a function of the caller raises, which
            ends the station; its outputs are safe before.
    """
    check_instance("sinks", sinks, (list, tuple), "a list of sinks")
    for name, function in (("on_part", on_part), ("on_missed", on_missed)):
        if function is not None:
            check_callable(name, function)
    caller, callbacks = Caller(stop, say), _Callbacks(on_part, on_missed)
    settings = read_station(checked_path("file", file))
    for remark in settings.remarks:
        caller.say(remark)

    def stopping() -> bool:
        callbacks.check()
        return caller.stop()

    try:
        with AssembledStation(settings, caller.say, stopping) as station:
            station.observe(callbacks)
            summary = station.run(sinks)
    finally:
        callbacks.end()
    callbacks.check()
    caller.check()
    return summary


class _Callbacks:
    """An observer that calls the caller's functions from its own thread."""

    def __init__(
        self,
        on_part: Callable[[PartResult], None] | None,
        on_missed: Callable[[Missed], None] | None,
    ) -> None:
        self._on_part, self._on_missed = on_part, on_missed
        self._waiting: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._error: BaseException | None = None
        self._thread = threading.Thread(target=self._work, name="dmdd-callbacks", daemon=True)
        self._thread.start()

    def part(self, part: PartResult) -> None:
        """A part has its verdict."""
        if self._on_part is not None:
            self._waiting.put(partial(self._on_part, part))

    def missed(self, missed: Missed) -> None:
        """A trigger was refused."""
        if self._on_missed is not None:
            self._waiting.put(partial(self._on_missed, missed))

    def changed(self, state: StationState) -> None:
        """Nothing: the caller is interested in parts."""

    def close(self) -> None:
        """Nothing: what waits is still passed on."""

    def end(self) -> None:
        """Pass on what waits."""
        self._waiting.put(None)
        self._thread.join(_LEAVE_SECONDS)

    def check(self) -> None:
        """Raise the error of the caller's function, if any."""
        if self._error is not None:
            raise self._error

    def _work(self) -> None:
        while (call := self._waiting.get()) is not None:
            if self._error is None:
                try:
                    call()
                except BaseException as error:
                    self._error = error
