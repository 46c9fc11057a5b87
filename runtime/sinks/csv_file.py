"""A CSV file: one row a frame, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.summary import Summary

_NUMBERS = ("score", "normalized_score", "threshold", "is_anomalous")
_TIMINGS = ("capture", "prepare", "infer", "finish")
COLUMNS = (
    *("source", "index", "status", "time", *_NUMBERS, "regions"),
    *(f"{name}_ms" for name in _TIMINGS),
    *("dropped", "reason"),
)


class CsvFile:
    """Writes a new file, a header first; a frame that could not be read has the status ``error``.

    Args:
        path: the file; its folder is made, an older file is replaced.

    Raises:
        DmddError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            self._file = path.open("w", encoding="utf-8", newline="")
        except OSError as error:
            raise DmddError(f"{path} cannot be written: {error}.", "Name another file for --csv.") from error
        self._row(COLUMNS)

    def result(self, frame: Frame, result: Result) -> None:
        """Write the row of a result."""
        line = result.to_json()
        times: dict[str, Any] = line["timings_ms"]
        self._row(
            [
                *(line[name] for name in ("source", "index", "status", "time", *_NUMBERS)),
                len(result.regions),
                *(times[name] for name in _TIMINGS),
                result.dropped,
                result.reason,
            ]
        )

    def broken(self, frame: BrokenFrame) -> None:
        """Write a row that names the error."""
        blank = [""] * (len(COLUMNS) - 4)
        self._row([frame.source, frame.index, "error", *blank, frame.error.message])

    def summary(self, summary: Summary) -> None:
        """Nothing: a summary is no row."""

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _row(self, values: Sequence[Any]) -> None:
        # Composed first, then written in one piece, so that a row is never torn.
        text = io.StringIO()
        csv.writer(text, lineterminator="\n").writerow(["" if value is None else value for value in values])
        try:
            self._file.write(text.getvalue())
            self._file.flush()
        except OSError as error:
            raise DmddError(f"{self._path} cannot be written: {error}.", "Free some space.") from error
