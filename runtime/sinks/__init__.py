"""Sinks receive results: one module per sink, one protocol for all of them."""

from __future__ import annotations

from typing import Protocol

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary


class Sink(Protocol):
    """Receives results in the order of the frames."""

    def result(self, frame: Frame, result: Result) -> None:
        """Receive the result of a frame.

        Raises:
            DmddError: it cannot be written.
        """
        ...

    def broken(self, frame: BrokenFrame) -> None:
        """Receive a frame that could not be read or prepared."""
        ...

    def summary(self, summary: Summary) -> None:
        """Receive the summary, after everything else."""
        ...

    def close(self) -> None:
        """Finish writing; called once, also when the run ended with an error."""
        ...
