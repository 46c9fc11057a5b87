"""A CSV file: one row per frame, for a spreadsheet."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.file_options import FileOptions
from dmdd_edge.runtime.sinks.line_file import LineFile
from dmdd_edge.runtime.summary import Summary

_NUMBERS = ("score", "normalized_score", "threshold", "is_anomalous")
_TIMINGS = ("capture", "prepare", "infer", "finish")
COLUMNS = (
    *("source", "index", "status", "time", *_NUMBERS, "regions"),
    *(f"{name}_ms" for name in _TIMINGS),
    *("dropped", "reason"),
)


class CsvFile(LineFile):
    """Writes a header, then a row per frame; one that could not be read has the status ``error``.

    A row is one line of the file: line breaks within a value become spaces. Rotated files have the header
    too. See ``LineFile`` and ``FileOptions`` for the rest.

    Args:
        path: the file; its folder is created.
        options: how it is written.

    Raises:
        DmddError: as of ``LineFile``.
    """

    def __init__(self, path: Path, options: FileOptions = FileOptions()) -> None:
        super().__init__(path, CsvFormat(), options)

    def result(self, frame: Frame, result: Result) -> None:
        """Write the row of a result, unless the file has it."""
        if self.done.ignores(frame.index):
            return
        line = result.to_json()
        times: dict[str, Any] = line["timings_ms"]
        self.write(
            _encode(
                [
                    *(line[name] for name in ("source", "index", "status", "time", *_NUMBERS)),
                    len(result.regions),
                    *(times[name] for name in _TIMINGS),
                    result.dropped,
                    result.reason,
                ]
            )
        )

    def broken(self, frame: BrokenFrame) -> None:
        """Write a row that names the error, unless the file has it."""
        if not self.done.ignores(frame.index):
            blank = [""] * (len(COLUMNS) - 4)
            self.write(_encode([frame.source, frame.index, "error", *blank, frame.error.message]))

    def summary(self, summary: Summary) -> None:
        """No effect: the summary has no row."""


class CsvFormat:
    """The rows above, read back."""

    def __init__(self) -> None:
        self.header = self.opening = _encode(COLUMNS)

    def is_first(self, line: bytes) -> bool:
        """Whether it is the header, with the columns of this version."""
        return line == self.header

    def read_back(self, source: str) -> str:
        """Without line breaks; bytes that are not UTF-8 are escaped."""
        return str(_flat(source)).encode("utf-8", "backslashreplace").decode()

    def frame_of(self, line: bytes) -> tuple[str, str] | None:
        """Source and status of a row."""
        if line == self.header:
            return None
        try:
            row = next(csv.reader([line.decode()], strict=True), [])
        except (UnicodeDecodeError, csv.Error):
            return None
        return (row[0], row[2]) if len(row) == len(COLUMNS) else None


def _encode(values: Sequence[Any]) -> bytes:
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerow(
        ["" if value is None else _flat(value) for value in values]
    )
    return text.getvalue().encode("utf-8", "backslashreplace")


def _flat(value: Any) -> Any:
    return " ".join(value.splitlines()) if isinstance(value, str) else value
