"""The file of a version's earlier calibrations: ``models/<category>/calibrations-<version>.json``.

It and the file of the calibration in force change one after the other: this one first when a calibration is
set, last when one is undone. So a crash between the two leaves an entry that equals what is in force, and
whoever reads the entries passes such a one over.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from dmdd_edge.bundle.manifest import LARGEST
from dmdd_edge.errors import BundleError
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.storage import write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: Calibrations that are kept; the oldest go first.
MOST = 20
#: The largest file that is written, in characters.
_FULL = LARGEST // 2

#: A calibration as JSON; None stands for the threshold set at export.
Entry = dict[str, Any] | None


class _History(BaseModel):
    model_config = ConfigDict(frozen=True)

    schema_version: int = Field(default=1, ge=1, le=1)
    earlier: tuple[Entry, ...] = Field(default=(), max_length=MOST)


def read_entries(path: Path, in_force: Entry) -> list[Entry]:
    """What was in force before, the oldest first; empty without a file.

    Args:
        path: of the file.
        in_force: the calibration in force; entries at the end that equal it are left out.

    Raises:
        BundleError: the file cannot be read.
    """
    try:
        entries = list(validate(_History, parse_object(read_bounded(path, LARGEST))).earlier)
    except FileNotFoundError:
        return []
    except (OSError, NotStrict) as error:
        reason = getattr(error, "strerror", None) or error
        raise BundleError(
            f"The earlier calibrations {path} cannot be read: {reason}.",
            "Remove the file: the calibration in force does not depend on it.",
        ) from error
    while entries and entries[-1] == in_force:
        entries.pop()
    return entries


def write_entries(path: Path, entries: list[Entry]) -> None:
    """Replace the entries; of more than ``MOST``, and of too large ones, the oldest are left out.

    Raises:
        StorageError: the file cannot be written.
    """
    texts = [json.dumps(entry) for entry in entries[-MOST:]]
    while texts and sum(map(len, texts)) > _FULL:
        texts.pop(0)
    write_atomically(path, '{"schema_version": 1, "earlier": [\n' + ",\n".join(texts) + "\n]}\n")


def remember(path: Path, in_force: Entry) -> None:
    """Add what is in force, before something else is. A file that cannot be read is replaced.

    Raises:
        StorageError: the file cannot be written.
    """
    try:
        entries = read_entries(path, in_force)
    except BundleError:
        entries = []
    write_entries(path, [*entries, in_force])
