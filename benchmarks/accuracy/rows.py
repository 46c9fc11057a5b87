"""The study's results: one JSON line an experiment, appended the moment it is finished.

A line is written in one piece and forced to the disk. A kill in the middle of it leaves a torn last line at
most, which is passed over when reading and closed off before the next line is written.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

Row = dict[str, Any]


def read_rows(path: Path) -> list[Row]:
    """The rows of a results file in the order they were written; [] where there is none.

    A line that is no JSON object was torn by a kill or damaged, and is passed over.
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
    """Add a row, so that it is on the disk when this returns.

    Raises:
        ValueError: the row holds a number that JSON does not know, such as NaN.
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
    """The last row of each experiment by its key: a repeated experiment replaces its earlier row."""
    return {row["key"]: row for row in rows if "key" in row}
