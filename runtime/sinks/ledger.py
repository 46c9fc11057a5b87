"""Ledger: the list of files that runs wrote into a folder, which tells them from other files."""

from __future__ import annotations

import contextlib
import json
import os
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.durable.locking import open_locked

#: Name of the list in a folder of images.
LEDGER_NAME = ".dmdd-edge-files"

#: Largest part of the list that may be about deleted files before it is rewritten, in bytes.
_WASTE = 1 << 18

#: The list is rewritten in pieces of about this size, in bytes.
_BLOCK = 1 << 16

#: Largest length of a file's line without its name, in bytes.
ENTRY_SIZE = 48

# FAT stores times to two seconds; times are compared with this tolerance, in nanoseconds.
_TOLERANCE = 2_000_000_000


@dataclass(frozen=True)
class Entry:
    """A file that was written.

    Attributes:
        name: relative to the folder, with ``/``.
        size: in bytes.
        time: of its last change by the file system's clock, in nanoseconds since 1970.
    """

    name: str
    size: int
    time: int


class Ledger:
    """Lines of ``[name, size, time]``, oldest first; read as needed, so that memory use stays constant.

    A file is entered before it gets its name, with the size and time that it will have: if the process is
    killed between the two, the entry matches no file and is ignored.

    Args:
        folder: must exist.
        name: of the list in the folder.

    Attributes:
        folder: see above.

    Raises:
        DmddError: it cannot be written, or another run has it.
    """

    def __init__(self, folder: Path, name: str = LEDGER_NAME) -> None:
        self.folder = folder
        self._path = folder / name
        self._head = 0
        self._next: tuple[Entry, int] | None = None
        self._files = 0
        try:
            self._list = self._open(self._path)
            self._rewrite(present_only=True)
        except OSError as error:
            raise DmddError(
                f"{self._path} cannot be written: {error.strerror}.",
                "Make the folder writable, or omit --keep.",
            ) from error

    @property
    def used(self) -> int:
        """Size of the entered files and of the list, in bytes."""
        return self._files + self._list.size

    def enter(self, name: str, size: int, time: int) -> None:
        """Add a file at the end; see ``Entry``.

        Raises:
            OSError: the list cannot be written.
        """
        self._list.append(_line(Entry(name, size, time)))
        self._files += size

    def oldest(self) -> Entry | None:
        """The oldest remaining file."""
        if self._next is None:
            self._next = next(self._entries(self._head), None)
        return None if self._next is None else self._next[0]

    def delete_oldest(self) -> None:
        """Delete the oldest file, unless it is missing or changed, and the folders that are then empty."""
        entry = self.oldest()
        assert entry is not None
        assert self._next is not None
        self._head, self._next = self._next[1], None
        self._files -= entry.size
        path = self.folder / entry.name
        if _is_as_entered(path, entry):
            with contextlib.suppress(OSError):  # the disk rejects writes; the next call tries the next file
                path.unlink()
            for parent in path.parents:
                if parent == self.folder:
                    break
                try:
                    parent.rmdir()
                except OSError:
                    break  # not empty
        if self._head > _WASTE and self._head > self._list.size // 2:
            with contextlib.suppress(OSError):
                self._rewrite(present_only=False)

    def close(self) -> None:
        """Close the file; the lock goes with it."""
        os.close(self._list.descriptor)

    def _entries(self, start: int) -> Iterator[tuple[Entry, int]]:
        """Entries after an offset, each with the offset of the next one; torn lines are ignored."""
        offset = start
        with self._path.open("rb") as stream:
            stream.seek(start)
            for line in stream:
                offset += len(line)
                try:
                    name, size, time = json.loads(line)
                    entry = Entry(str(name), int(size), int(time))
                except (ValueError, TypeError):
                    continue
                yield entry, offset

    def _open(self, path: Path) -> Appender:
        """Open and lock a list.

        Raises:
            DmddError: another run has it.
        """
        try:
            return Appender(open_locked(path))
        except BlockingIOError:
            raise OptionError(
                f"Another run with --keep writes to {self.folder}.", "Give each run its own folder."
            ) from None

    def _rewrite(self, present_only: bool) -> None:
        """Write the list again without deleted files, or without all files that are missing."""
        part = self._path.with_name(f"{self._path.name}.part")
        part.unlink(missing_ok=True)
        rewritten = self._open(part)
        total = 0
        try:
            lines = bytearray()
            for entry, _ in self._entries(self._head):
                if not present_only or _is_as_entered(self.folder / entry.name, entry):
                    lines += _line(entry)
                    total += entry.size
                if len(lines) > _BLOCK:
                    rewritten.append(bytes(lines))
                    lines.clear()
            rewritten.append(bytes(lines))
            os.replace(part, self._path)  # noqa: PTH105 - the one call that replaces atomically, by its name
        except OSError:
            os.close(rewritten.descriptor)
            raise
        os.close(self._list.descriptor)
        self._list = rewritten
        self._files, self._head, self._next = total, 0, None


def _line(entry: Entry) -> bytes:
    return json.dumps([entry.name, entry.size, entry.time]).encode() + b"\n"


def _is_as_entered(path: Path, entry: Entry) -> bool:
    try:
        status = path.lstat()
    except OSError:
        return False
    same = status.st_size == entry.size and abs(status.st_mtime_ns - entry.time) <= _TOLERANCE
    return stat.S_ISREG(status.st_mode) and same
