"""What the challenge set said at each change, and which losses were allowed: a file of lines beside it."""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from dmdd_edge.outside_files import open_regular
from dmdd_edge.runtime.challenge.edit import somebody
from dmdd_edge.runtime.challenge.parts import FOLDER
from dmdd_edge.runtime.durable.shared_lines import add_line
from dmdd_edge.runtime.result import utc_time
from dmdd_edge.storage import make_folder
from dmdd_edge.strict_json import parse_object

JOURNAL = "journal.jsonl"
#: How much of the end of the file is searched for scores, in bytes.
_SEARCHED = 4 << 20


def record(category_folder: Path, fields: dict[str, Any]) -> None:
    """Append a line, with the time and who did it, and wait until it is on the disk.

    Raises:
        StorageError: it cannot be written.
    """
    folder = category_folder / FOLDER
    line = {"time": utc_time(time.time()), "by": somebody(), **fields}
    text = json.dumps(line, ensure_ascii=False, allow_nan=False)
    make_folder(folder)  # it is gone where a change is allowed although the set is
    add_line(folder / JOURNAL, text.encode("utf-8", "backslashreplace"))


def last_scores(category_folder: Path, version: str) -> dict[str, float]:
    """The score that each part had when it was run last with a version, as far as the journal tells."""
    scores: dict[str, float] = {}
    try:
        with open_regular(category_folder / FOLDER / JOURNAL) as stream:
            stream.seek(max(0, stream.seek(0, os.SEEK_END) - _SEARCHED))
            lines = stream.read().splitlines()
    except OSError:
        return scores
    for line in lines:
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            fields = parse_object(line, plain=False)
            for entry in (fields, fields.get("before") or {}):
                if entry["version"] == version:
                    for part in entry.get("parts", ()):
                        if part["score"] is None:
                            scores.pop(part["name"], None)
                        else:
                            scores[str(part["name"])] = float(part["score"])
    return scores
