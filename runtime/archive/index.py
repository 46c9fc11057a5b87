"""What an archive holds, known without reading it again: built step by step, followed as it changes."""

from __future__ import annotations

import json
import os
import time
from collections import Counter, OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from dmdd_edge.messages.text import unfit_character
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.record import LARGEST_RECORD, is_id
from dmdd_edge.runtime.archive.verdicts import Verdicts
from dmdd_edge.runtime.archive.views import Entry, Facet, Filter, View

#: A folder that was changed so short a time ago may change again without a newer time stamp, in seconds.
_SETTLED = 2.0
#: A folder is listed again after at least this multiple of the time that listing takes.
_RARELY = 20
#: Views kept at once: one for each filter that somebody uses.
_VIEWS = 8
#: The longest text of a facet, in characters.
_LONGEST = 1000


@dataclass
class _Day:
    """A folder of records: its time of change when it was listed, whether a later change shows, the ids."""

    changed: int = -1
    settled: bool = False
    not_before: float = 0.0
    names: set[str] = field(default_factory=set)


class Index:
    """Knows the records of an archive and their verdicts; for one thread at a time.

    Args:
        archive: see ``ArchiveFolder``; others may add to it and delete from it.
        clock: in seconds since 1970.

    Attributes:
        archive: see above.
        entries: records by id.
        facets: number of records by what they have in common.
        unreadable: records that are damaged.
        verdicts: what people say of them.
    """

    def __init__(self, archive: ArchiveFolder, clock: Callable[[], float] = time.time) -> None:
        self.archive, self._clock = archive, clock
        self.entries: dict[str, Entry] = {}
        self.facets: Counter[Facet] = Counter()
        self.unreadable: set[str] = set()
        self.verdicts = Verdicts(archive.feedback, self._changed)
        self._shared: dict[Facet, Facet] = {}
        self._days: dict[str, _Day] = {}
        #: Ids that are not read yet, by day; the newest at the end.
        self._unread: dict[str, list[str]] = {}
        self._views: OrderedDict[Filter, View] = OrderedDict()

    @property
    def unread(self) -> int:
        """Records that are known and not read yet."""
        return sum(map(len, self._unread.values()))

    def step(self, seconds: float = 0.1, gentle: bool = False) -> bool:
        """Follow the changes of the archive, and read records, the newest first.

        Args:
            seconds: after which it stops reading.
            gentle: leave half of the time to other threads.

        Returns:
            Whether everything is read.

        Raises:
            StorageError: the verdicts cannot be read.
        """
        end = time.monotonic() + seconds
        self.verdicts.follow()
        self._follow_days()
        paused = time.monotonic()
        while self._unread:
            now = time.monotonic()
            if now > end:
                return False
            if gentle and now - paused > 0.005:
                time.sleep(now - paused)
                paused = time.monotonic()
            day = max(self._unread)
            names = self._unread[day]
            name = names.pop()
            if not names:
                del self._unread[day]
            self._read(day, name)
        return True

    def view(self, filter: Filter) -> View:
        """What a filter takes of what is read; the same object stays up to date for some time."""
        view = self._views.get(filter)
        if view is None:
            view = self._views[filter] = View(filter, self.entries.items(), self.verdicts.word)
        self._views.move_to_end(filter)
        while len(self._views) > _VIEWS:
            self._views.popitem(last=False)
        return view

    def forget(self, name: str) -> None:
        """A record turned out to be gone."""
        entry = self.entries.pop(name, None)
        if entry is None:
            return
        self.facets[entry.facet] -= 1
        if not self.facets[entry.facet]:
            del self.facets[entry.facet]
        for view in self._views.values():
            view.remove(name, self.verdicts.word(name))

    def _changed(self, name: str, before: str, after: str) -> None:
        for view in self._views.values():
            view.change(name, before, after)

    def _follow_days(self) -> None:
        kept = self.archive.path / "kept"
        try:
            with os.scandir(kept) as found:
                days = {day.name: day.stat().st_mtime_ns for day in found if day.is_dir()}
        except OSError:  # nothing is kept yet, or the disk is gone for a moment
            return
        for name in self._days.keys() - days.keys():
            self._drop(name, self._days.pop(name).names)
        for name, changed in days.items():
            day = self._days.setdefault(name, _Day())
            if (changed != day.changed or not day.settled) and time.monotonic() >= day.not_before:
                self._list(kept / name, day, changed)

    def _list(self, folder: Path, day: _Day, changed: int) -> None:
        began = time.monotonic()
        try:
            with os.scandir(folder) as found:
                names = {file.name[:-5] for file in found if file.name.endswith(".json")}
        except OSError:
            return
        day.changed = changed
        day.settled = self._clock() - changed / 1e9 > _SETTLED
        day.not_before = time.monotonic() + _RARELY * (time.monotonic() - began)
        self._drop(folder.name, day.names - names)
        fresh = sorted(name for name in names - day.names if is_id(name))
        if fresh:
            self._unread.setdefault(folder.name, []).extend(fresh)
        day.names -= day.names - names
        day.names.update(fresh)

    def _drop(self, day: str, names: set[str]) -> None:
        if not names:
            return
        unread = [name for name in self._unread.pop(day, ()) if name not in names]
        if unread:
            self._unread[day] = unread
        self.unreadable -= names
        for name in names:
            self.forget(name)

    def _read(self, day: str, name: str) -> None:
        path = self.archive.path / "kept" / day / f"{name}.json"
        try:
            entry = self._entry(name, json.loads(read_bounded(path, LARGEST_RECORD)))
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, OverflowError, RecursionError):
            self.unreadable.add(name)
            return
        if name in self.entries:  # in a folder that somebody copied
            return
        self.entries[name] = entry
        self.facets[entry.facet] += 1
        for view in self._views.values():
            view.add(name, entry, self.verdicts.word(name))

    def _entry(self, name: str, line: dict[str, Any]) -> Entry:
        """Of a record only what filters need: all of it is checked when somebody looks at it."""
        if line["id"] != name:
            raise ValueError
        facet = Facet(
            _plain(line["status"]),
            _plain(line["kept"]),
            _plain(line["category"]),
            _plain(line.get("inspection", "")),
        )
        moment = datetime.fromisoformat(_plain(line["time"]).replace("Z", "+00:00"))
        return Entry(self._shared.setdefault(facet, facet), moment.timestamp())


def _plain(text: object) -> str:
    if not isinstance(text, str) or len(text) > _LONGEST or unfit_character(text) is not None:
        raise ValueError
    return text
