"""Results of the study: one JSON line per experiment, appended as soon as it is finished.

A line is written in one call and synced to disk. A kill while writing leaves at most a torn last line, which
is skipped when reading and terminated before the next line is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """Rows of a results file in order; [] when the file does not exist.

    A line that is not a JSON object (torn by a kill, or damaged) is skipped.
    """
    if not path.is_file():
        return []
    rows = []
    for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
        try:
            row = json.loads(line)
        except ValueError:
            continue
        if isinstance(row, dict):
            rows.append(row)
    return rows


def append_row(path: Path, row: Row) -> None:
    """Append a row and sync it to disk.

    Raises:
        ValueError: the row contains a number that JSON does not support, such as NaN.
    """
    line = json.dumps(row, allow_nan=False) + "\n"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                line = "\n" + line
        file.write(line.encode())
        file.flush()
        os.fsync(file.fileno())


def latest(rows: Iterable[Row]) -> dict[str, Row]:
    """The last row of each experiment by key: a repeated experiment replaces its earlier row."""
    return {row["key"]: row for row in rows if "key" in row}
