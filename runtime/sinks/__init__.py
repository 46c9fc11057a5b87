"""Sinks receive results: one module per sink, one protocol for all of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol, TypeAlias, runtime_checkable

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary

#: What became of one frame of a part.
Outcome: TypeAlias = tuple[Frame, Result] | BrokenFrame


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


@runtime_checkable
class LineSink(Protocol):
    """A sink of lines, which can write lines of further types beside those about frames."""

    def line(self, fields: dict[str, Any]) -> None:
        """Write a line.

        Args:
            fields: of one JSON object, with ``type``; the receiver may add to them.

        Raises:
            DmddError: it cannot be written.
        """
        ...


@runtime_checkable
class PartSink(Protocol):
    """A sink that receives whole parts too: all that one trigger brought."""

    def part(self, ticket: object, outcomes: Sequence[Outcome]) -> None:
        """Receive a part, after the last of its frames was received one by one.

        Args:
            ticket: names the part, see ``PreparedPart``.
            outcomes: of its frames, in order.

        Raises:
            DmddError: it cannot be written.
        """
        ...
