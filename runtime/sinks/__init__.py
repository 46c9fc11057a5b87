"""Where results go: one module a sink, one protocol for all of them."""

from __future__ import annotations

from typing import Protocol

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary


class Sink(Protocol):
    """Takes results in the order in which they are made."""

    def result(self, frame: Frame, result: Result) -> None:
        """Take the result of a frame.

        Raises:
            DmddError: it cannot be written.
        """
        ...

    def broken(self, frame: BrokenFrame) -> None:
        """Take note of a frame that could not be read or judged."""
        ...

    def summary(self, summary: Summary) -> None:
        """Take the closing summary, after everything else."""
        ...

    def close(self) -> None:
        """Finish what was written; called once, also when the run ended in an error."""
        ...
