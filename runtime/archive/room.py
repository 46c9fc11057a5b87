"""The bound of an archive: the oldest images are deleted, those of the reason that takes the most room."""

from __future__ import annotations

import contextlib
import heapq
import os
from collections import Counter, deque
from collections.abc import Callable, Iterator
from pathlib import Path

from dmdd_edge.runtime.archive.names import (
    IMAGES,
    RECORD,
    SUFFIXES,
    budget_of,
    is_day,
    is_stray,
    moment_of,
    split,
)
from dmdd_edge.runtime.archive.record import Record, read_record
from dmdd_edge.runtime.archive.reviewed import Reviewed

#: Shares of the bound: one for each reason.
SHARES = 5
#: Disks give out room in such pieces, in bytes.
_BLOCK = 4096
#: Number of the oldest records that are looked up at once.
_BATCH = 512


def room_of(size: int) -> int:
    """What a file takes on the disk, in bytes."""
    return -(-size // _BLOCK) * _BLOCK


class ArchiveRoom:
    """Keeps an archive within its bound; for the one thread that writes.

    Each of the five reasons has a fifth of the bound to itself, and uses more as long as others need less: a
    flood of alarms does not push out the random sample. Of the sample the oldest goes first, so that what is
    left speaks for the time since. Of the others those that carry a verdict go last.

    Only files whose names an archive gives are deleted.

    Args:
        archive: the folder.
        limit: of all images and records, in bytes.
        deleted: called with each record that is deleted.

    Attributes:
        newest: milliseconds since 1970 of the newest record; 0 without one.
    """

    def __init__(self, archive: Path, limit: int, deleted: Callable[[Record], None]) -> None:
        self._kept, self._limit, self._deleted = archive / "kept", limit, deleted
        self._reviewed = Reviewed(archive / "feedback.jsonl")
        self._used: Counter[str] = Counter()
        self._oldest: dict[str, deque[tuple[str, str]]] = {}
        self.newest = 0

    @property
    def used(self) -> int:
        """Size of everything that is kept, in bytes."""
        return self._used.total()

    def look(self) -> None:
        """See what is there; removes what a killed process or a power cut left unfinished."""
        self._used.clear()
        for day in self._days():
            self._look_at(self._kept / day)

    def make(self, size: int, budget: str) -> bool:
        """Delete the oldest until another record fits.

        Args:
            size: of its files on the disk, in bytes.
            budget: which share it takes.

        Returns:
            Whether it fits; not if it is larger than a share, or nothing can be deleted.
        """
        if size > self._limit // SHARES:
            return False
        if self.used + size <= self._limit:
            return True
        if self._reviewed.refresh():
            self._oldest.clear()
        if self._shrink(size, budget):
            return True
        self.look()  # somebody else may have deleted records
        return self._shrink(size, budget)

    def took(self, name: str, size: int) -> None:
        """Count a record that was written."""
        self._used[budget_of(name)] += size
        self.newest = max(self.newest, moment_of(name))

    def _shrink(self, size: int, budget: str) -> bool:
        while self.used + size > self._limit:
            use = self._used + Counter({budget: size})
            if not any(self._delete_oldest(name) for name, _ in use.most_common()):
                return False
        return True

    def _days(self) -> list[str]:
        try:
            return sorted(name for name in os.listdir(self._kept) if is_day(name))  # noqa: PTH208
        except FileNotFoundError:
            return []

    def _look_at(self, day: Path) -> None:
        sizes: dict[str, dict[str, int]] = {}
        strays: list[str] = []
        with os.scandir(day) as entries:
            for entry in entries:
                parts = split(entry.name)
                if parts is not None and entry.is_file(follow_symlinks=False):
                    name, suffix = parts
                    sizes.setdefault(name, {})[suffix] = entry.stat(follow_symlinks=False).st_size
                elif is_stray(entry.name):
                    strays.append(entry.name)
        for name, files in sizes.items():
            # After a power cut a file may be there without its content.
            if RECORD in files and not IMAGES.isdisjoint(files) and all(files.values()):
                self.took(name, sum(room_of(size) for size in files.values()))
            else:
                strays.extend(name + suffix for suffix in SUFFIXES if suffix in files)
        for file in strays:
            if is_stray(file):
                with contextlib.suppress(OSError):
                    (day / file).unlink()

    def _delete_oldest(self, budget: str) -> bool:
        """Delete the oldest record of a share; whether there was one and it is gone."""
        waiting = self._oldest.setdefault(budget, deque())
        while True:
            if not waiting:
                waiting.extend(self._find_oldest(budget))
                if not waiting:
                    return False
            day, name = waiting.popleft()
            freed = self._delete(self._kept / day, name)
            if freed is None:
                return False
            if freed:
                self._used[budget] -= min(freed, self._used[budget])
                return True

    def _find_oldest(self, budget: str) -> list[tuple[str, str]]:
        """The oldest records of a share, by day and id; those that carry a verdict only if all do."""
        for protects in (budget != "sample", False):
            for day in self._days():
                records = self._records(day, budget)
                found = heapq.nsmallest(
                    _BATCH, (name for name in records if not (protects and name in self._reviewed))
                )
                if found:
                    return [(day, name) for name in found]
        return []

    def _records(self, day: str, budget: str) -> Iterator[str]:
        with contextlib.suppress(FileNotFoundError), os.scandir(self._kept / day) as entries:
            for entry in entries:
                name = entry.name.removesuffix(RECORD)
                if name != entry.name and split(entry.name) and budget_of(name) == budget:
                    yield name

    def _delete(self, day: Path, name: str) -> int | None:
        """Delete a record; returns the room that it took, or None if the disk refuses."""
        record = read_record(day / f"{name}{RECORD}")
        freed = 0
        for suffix in SUFFIXES:  # the record first: without it the others are only strays
            path = day / f"{name}{suffix}"
            try:
                size = path.lstat().st_size
                path.unlink()
            except FileNotFoundError:
                continue
            except OSError:
                return None
            freed += room_of(size)
        if record is not None:
            self._deleted(record)
        with contextlib.suppress(OSError):
            day.rmdir()  # refused while anything is in it
        return freed
