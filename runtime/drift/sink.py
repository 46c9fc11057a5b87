"""The drift watch of a run: a sink before those that write, which get its lines."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.control import RunControl
from dmdd_edge.runtime.drift.inspection import WatchedInspection
from dmdd_edge.runtime.drift.state_file import StateFile
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks import LineSink, Sink
from dmdd_edge.runtime.summary import Summary


class RunDrift:
    """Watches a run; its report is in the summary, on the page and in the metrics.

    Args:
        control: the run.
        run_length: mean number of frames between two false warnings.
        state: the file that keeps what was learned; None keeps nothing.
        sinks: those that are sinks of lines get a line for each event.
        say: receives what a person should know, one line each.
        calibrate: the command that sets the threshold again.
    """

    def __init__(
        self,
        control: RunControl,
        run_length: int,
        state: Path | None,
        sinks: Sequence[Sink],
        say: Callable[[str], None],
        calibrate: str = "",
    ) -> None:
        self._lines = [sink for sink in sinks if isinstance(sink, LineSink)]
        self._say = say
        self._watched = WatchedInspection("", "", lambda: control.detector, run_length, calibrate)
        self._state = None if state is None else StateFile(state, [self._watched], say)
        control.statistics.drift = lambda: {control.category: self._watched.report()}

    def result(self, frame: Frame, result: Result) -> None:
        """Watch a result."""
        for line in self._watched.take(result):
            tell(line, self._say)
            for sink in self._lines:
                sink.line(dict(line))
        if self._state is not None:
            self._state.look()

    def broken(self, frame: BrokenFrame) -> None:
        """No effect: a frame without an image shows no drift."""

    def summary(self, summary: Summary) -> None:
        """No effect: the report is in it."""

    def close(self) -> None:
        """Keep what was learned."""
        if self._state is not None:
            self._state.write()


def tell(line: dict[str, Any], say: Callable[[str], None]) -> None:
    """Say an event to a person; not that the watch has learned what is usual."""
    if line["event"] == "baseline":
        return
    where = f"drift of {line['inspection']}" if "inspection" in line else "drift"
    say(f"{where}: {line['message']}")
    if "fix" in line:
        say(f"fix:  {line['fix']}")
