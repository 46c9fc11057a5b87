"""Scan a folder repeatedly for images that are new or were rewritten."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from dmdd_edge.data.images import IMAGE_SUFFIXES, kind_of_file

#: Clocks of file systems may be this coarse (FAT), in seconds: for this long after a change, a folder is
#: listed again although its time has not changed.
_COARSE = 2.5
#: The share of the time that checking every file may take.
_FULL_SHARE = 0.05
_REMEMBERED = 20_000


class Stamp(NamedTuple):
    """Identifies the content of a file without reading it.

    Attributes:
        inode: the file itself, wherever it is moved to. Some file systems change it now and then, so a file
            that keeps its path is not identified by it.
        size: in bytes.
        time: of the last change, in nanoseconds.
    """

    inode: int
    size: int
    time: int

    def same_content(self, other: Stamp) -> bool:
        """Whether a file under the same path is unchanged."""
        return self[1:] == other[1:]


def stamp_of(path: Path) -> Stamp | None:
    """The current stamp of a file; None when it is gone."""
    try:
        status = path.stat()
    except OSError:
        return None
    return Stamp(status.st_ino, status.st_size, status.st_mtime_ns)


@dataclass
class _Folder:
    """The known state of one folder."""

    time: int = -1
    since: float = 0.0
    files: dict[str, Stamp] = field(default_factory=dict)
    folders: list[str] = field(default_factory=list)
    passed_over: Counter[str] = field(default_factory=Counter)


class FolderScan:
    """Finds changed images in a folder and its subfolders between two scans.

    A scan costs one call per folder as long as nothing was added or removed. Every file is checked as often
    as that takes at most a twentieth of the time, since a file rewritten in place leaves no trace in its
    folder. Hidden files and folders are skipped, links to folders not followed.

    Args:
        folder: the folder.
        leave_out: folders below it that are skipped.

    Attributes:
        problem: why the folder cannot be listed now; empty when it can.
    """

    def __init__(self, folder: Path, leave_out: Collection[Path] = ()) -> None:
        self._root = folder
        self._leave_out = {os.path.realpath(path) for path in leave_out}
        self._folders: dict[str, _Folder] = {}
        self._identity: tuple[int, int] | None = None
        self._next_full = 0.0
        self._unread: set[str] = set()
        # The folders of files that were read and then vanished, by name and stamp.
        self._gone: dict[tuple[str, Stamp], str] = {}
        self.problem = ""

    def changes(self) -> list[tuple[Path, Stamp]]:
        """The files that are new or changed since the last scan; all of them in the first one.

        A file that was read and then moved into another folder is not among them.
        """
        start = time.monotonic()
        self.problem = self._why_unavailable()
        if self.problem:
            return []
        full = start >= self._next_full
        files = list(self._scan(str(self._root), start, full))
        while len(self._gone) > _REMEMBERED:
            del self._gone[next(iter(self._gone))]
        if full:
            took = time.monotonic() - start
            self._next_full = start + took / _FULL_SHARE
        changed = [(Path(path), stamp) for path, stamp in files]
        changed = [(path, stamp) for path, stamp in changed if not self.was_moved(path, stamp)]
        self._unread.update(str(path) for path, _ in changed)
        return changed

    @property
    def passed_over(self) -> Counter[str]:
        """The files in the folder that are not images now, by kind, as ``images.list_images`` counts them."""
        counts: Counter[str] = Counter()
        for folder in list(self._folders.values()):
            counts.update(folder.passed_over)
        return counts

    def was_moved(self, path: Path, stamp: Stamp) -> bool:
        """Whether a file was read in another folder; known once its old folder was scanned."""
        before = self._gone.get((path.name, stamp))
        return before is not None and before != str(path.parent)

    def took(self, path: Path) -> None:
        """Note that a file was read, or will not be."""
        self._unread.discard(str(path))

    def forget(self, path: Path) -> None:
        """Note that a file vanished unread: if it returns, it is new."""
        self._unread.discard(str(path))
        folder = self._folders.get(str(path.parent))
        if folder is not None:
            folder.files.pop(path.name, None)

    def note(self, path: Path, stamp: Stamp) -> None:
        """Note that the content of a file changed."""
        folder = self._folders.get(str(path.parent))
        if folder is not None:
            folder.files[path.name] = stamp

    def _why_unavailable(self) -> str:
        """Why the folder cannot be trusted now: files of an unmounted share are not removed."""
        try:
            status = self._root.stat()
            identity = (status.st_dev, status.st_ino)
            if self._identity not in (None, identity) and not os.listdir(self._root):  # noqa: PTH208
                return f"{self._root} is now a different, empty folder; is the share still mounted?"
        except OSError as error:
            return f"cannot list {self._root}: {error.strerror or error}"
        self._identity = identity
        return ""

    # Paths are strings from here on, for speed: scans run several times per second.

    def _scan(self, path: str, now: float, full: bool) -> Iterator[tuple[str, Stamp]]:
        try:
            changed = os.stat(path).st_mtime_ns  # noqa: PTH116
        except OSError:
            return
        folder = self._folders.setdefault(path, _Folder())
        quiet = folder.time == changed and now - folder.since > _COARSE
        if full or not quiet:
            try:
                yield from self._list(path, folder, full)
            except OSError:  # it is listed again in the next scan
                folder.passed_over = Counter({"unreadable folder": 1})
        if folder.time != changed:
            # Counted from the end of the listing: changes during it may not have changed the time.
            folder.time, folder.since = changed, time.monotonic()
        for name in list(folder.folders):
            yield from self._scan(f"{path}{os.sep}{name}", now, full)

    def _list(self, path: str, folder: _Folder, full: bool) -> Iterator[tuple[str, Stamp]]:
        known, present = folder.files, set()
        images, folders = [], []
        passed_over: Counter[str] = Counter()
        with os.scandir(path) as entries:
            for entry in entries:
                name = entry.name
                present.add(name)
                if not full and name in known:
                    continue
                if name.startswith("."):
                    passed_over["hidden"] += 1
                elif name.lower().endswith(IMAGE_SUFFIXES):
                    images.append(entry)
                elif entry.is_dir(follow_symlinks=False):
                    if self._is_wanted(entry.path):
                        folders.append(name)
                elif entry.is_dir():
                    passed_over["linked folder"] += 1
                else:
                    passed_over[kind_of_file(name)] += 1
        folder.passed_over = passed_over
        for name in set(folder.folders).difference(folders):
            self._remove(f"{path}{os.sep}{name}")
        folder.folders = folders
        if gone := known.keys() - present:
            for name in gone:
                self._vanish(path, name, known.pop(name))
            # A dictionary never shrinks: 200 KiB for each day's folder that was emptied.
            folder.files = known = dict(known)
        for entry in images:
            with suppress(OSError):  # gone since the listing
                if entry.is_file():
                    status = entry.stat()
                    stamp = Stamp(status.st_ino, status.st_size, status.st_mtime_ns)
                    before = known.get(entry.name)
                    known[entry.name] = stamp
                    if before is None or not before.same_content(stamp):
                        yield entry.path, stamp

    def _remove(self, path: str) -> None:
        """Forget a removed folder, with those below it."""
        for gone in [known for known in self._folders if known == path or known.startswith(path + os.sep)]:
            for name, stamp in self._folders.pop(gone).files.items():
                self._vanish(gone, name, stamp)

    def _vanish(self, folder: str, name: str, stamp: Stamp) -> None:
        path = f"{folder}{os.sep}{name}"
        if path in self._unread:
            self._unread.discard(path)
        else:
            self._gone[name, stamp] = folder

    def _is_wanted(self, path: str) -> bool:
        return not self._leave_out or os.path.realpath(path) not in self._leave_out
