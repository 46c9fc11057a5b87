"""Names of the files of an archive: ``kept/2026-11-29/20261129T080000123Z-close.json``."""

from __future__ import annotations

import re
from datetime import datetime, timezone

from dmdd_edge.runtime.archive.record import is_id

#: What follows the id in the names of a record's files; the record first.
RECORD, MAP = ".json", ".map.png"
IMAGES = frozenset((".png", ".jpg"))
SUFFIXES = (RECORD, MAP, *sorted(IMAGES))
#: Ends the name of a file that is not complete.
PART = ".part"

_OURS = re.compile(r"\d{8}T\d{9}Z-[a-z]+")
_DAY = re.compile(r"\d{4}-\d{2}-\d{2}")
_LAST_YEAR = 9000
_TIME = "%Y%m%dT%H%M%S"


def new_id(moment_ms: int, budget: str) -> str:
    """The id of a record.

    Args:
        moment_ms: milliseconds since 1970 (UTC); of each record of an archive another one.
        budget: which share of the archive it takes room from.
    """
    moment = datetime.fromtimestamp(moment_ms // 1000, timezone.utc)
    return f"{moment.strftime(_TIME)}{moment_ms % 1000:03d}Z-{budget}"


def moment_of(name: str) -> int:
    """Milliseconds since 1970 at which an id was made; 0 for one that was made elsewhere."""
    if not _OURS.fullmatch(name):
        return 0
    try:
        seconds = datetime.strptime(name[:15], _TIME).replace(tzinfo=timezone.utc).timestamp()
    except ValueError:
        return 0
    # An id that is later than any clock would leave no room for the next one.
    return 1000 * int(seconds) + int(name[15:18]) if int(name[:4]) < _LAST_YEAR else 0


def budget_of(name: str) -> str:
    """Which share of the archive a record takes room from, by its id."""
    return name.rpartition("-")[2] if _OURS.fullmatch(name) else ""


def day_of(name: str) -> str:
    """The folder of an id: its date."""
    return f"{name[:4]}-{name[4:6]}-{name[6:8]}"


def is_day(name: str) -> bool:
    """Whether a folder is one of an archive's."""
    return _DAY.fullmatch(name) is not None


def split(file: str) -> tuple[str, str] | None:
    """Id and suffix of a file of an archive; None of any other file."""
    for suffix in SUFFIXES:
        name = file.removesuffix(suffix)
        if name != file and is_id(name):
            return name, suffix
    return None


def is_stray(file: str) -> bool:
    """Whether only an archive makes a file of such a name, so that it may be deleted."""
    if file.endswith(PART):
        return _OURS.match(file.removeprefix(".")) is not None
    parts = split(file)
    return parts is not None and _OURS.fullmatch(parts[0]) is not None
