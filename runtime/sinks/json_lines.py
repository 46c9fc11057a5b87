"""JSON lines: one line a result, written whole and flushed, the summary last."""

from __future__ import annotations

import json
import os
from typing import Any, TextIO

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary


class JsonLines:
    """Writes to an open text stream, which stays open.

    Args:
        stream: for example standard output.
    """

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def result(self, frame: Frame, result: Result) -> None:
        """Write a line of type ``result``."""
        self._write(result.to_json())

    def broken(self, frame: BrokenFrame) -> None:
        """Write a line of type ``error``."""
        self._write(
            {
                "type": "error",
                "source": frame.source,
                "index": frame.index,
                "message": frame.error.message,
                "fix": frame.error.fix,
            }
        )

    def summary(self, summary: Summary) -> None:
        """Write the line of type ``summary``."""
        self._write(summary.to_json())

    def close(self) -> None:
        """Nothing is left to do: every line was flushed."""

    def _write(self, line: dict[str, Any]) -> None:
        # One call with the line break in it, so that a line is never torn between two writes.
        try:
            self._stream.write(json.dumps(line, ensure_ascii=False, allow_nan=False) + "\n")
            self._stream.flush()
        except BrokenPipeError:
            _discard_the_rest(self._stream)
            raise DmddError("whoever read the JSON lines has gone away.", "The run ends here.") from None
        except OSError as error:
            raise DmddError(f"the JSON lines cannot be written: {error}.", "Free some space.") from error


def _discard_the_rest(stream: TextIO) -> None:
    """Point a closed pipe at nothing, or Python complains once more when it flushes it at exit."""
    try:
        descriptor = stream.fileno()
    except (OSError, ValueError):
        return  # a stream in memory
    nothing = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, descriptor)
    os.close(nothing)
