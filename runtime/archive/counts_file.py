"""The file ``counts.jsonl``: lines are added, and those of past days are merged."""

from __future__ import annotations

import os
from collections.abc import Iterable
from datetime import datetime, timezone
from pathlib import Path

from dmdd_edge.outside_files import open_to_append, read_lines
from dmdd_edge.runtime.archive.counts import Counts
from dmdd_edge.runtime.archive.tally import Key
from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.durable.shared_lines import whole_appender
from dmdd_edge.storage import write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: Above this size the file is shortened where it can be, in bytes.
_LARGE = 1 << 20
#: Fields of lines that add up.
_SUMS = tuple(name for name in Counts.model_fields if name not in ("since", "until", *Key._fields))


class CountsFile:
    """Adds lines; for one process at a time, while others may read the file.

    Lines of every minute would take 100 MB in a year. So those of past days are merged, once the file is
    large, to one for each day, bundle, inspection, threshold and precision.

    Args:
        path: the file; it is created if missing.

    Raises:
        OSError: it cannot be opened.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._file = self._open()
        self._merge_at = _LARGE

    def add(self, lines: Iterable[Counts]) -> None:
        """Add lines.

        Raises:
            OSError: the disk rejects them; none is added.
        """
        text = "".join(f"{line.model_dump_json(exclude_defaults=True)}\n" for line in lines)
        if not text:
            return
        self._file.append(text.encode())
        if self._file.size > self._merge_at:
            self._merge()
            self._merge_at = max(_LARGE, 2 * self._file.size)

    def close(self, sync: bool) -> None:
        """Close the file.

        Args:
            sync: wait until everything is on the disk.

        Raises:
            OSError: the disk rejects that.
        """
        try:
            if sync:
                os.fsync(self._file.descriptor)
        finally:
            os.close(self._file.descriptor)

    def _open(self) -> Appender:
        descriptor = open_to_append(self.path)
        try:
            return whole_appender(descriptor)
        except OSError:
            os.close(descriptor)
            raise

    def _merge(self) -> None:
        merged = merge(
            (line for _, line in read_lines(self.path)), datetime.now(timezone.utc).date().isoformat()
        )
        write_atomically(self.path, b"".join(line.rstrip(b"\n") + b"\n" for line in merged))
        os.close(self._file.descriptor)
        self._file = self._open()


def merge(lines: Iterable[bytes], today: str) -> list[bytes]:
    """Lines of the same day, bundle, inspection, threshold and precision as one line each.

    Args:
        lines: of the file; one that cannot be read is dropped.
        today: an ISO date in UTC; its lines stay as they are.
    """
    days: dict[tuple[str, Key], dict[str, object]] = {}
    kept: list[bytes] = []
    for line in lines:
        try:
            counts = validate(Counts, parse_object(line))
        except NotStrict:
            continue
        day = counts.since[:10]
        if day >= today:
            kept.append(line)
            continue
        key = Key(**{name: getattr(counts, name) for name in Key._fields})
        one = days.setdefault((day, key), {"since": counts.since, "until": counts.until, **key._asdict()})
        one["since"], one["until"] = (
            min(str(one["since"]), counts.since),
            max(str(one["until"]), counts.until),
        )
        for name in _SUMS:
            one[name] = int(str(one.get(name, 0))) + getattr(counts, name)
    merged = [
        Counts.model_validate(one).model_dump_json(exclude_defaults=True).encode() for one in days.values()
    ]
    return merged + kept
