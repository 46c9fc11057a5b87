"""A file of lines, each one whole: appended in one call, rotated by size, waiting while a disk is full."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import time
from collections import deque
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.sinks.file_options import FileOptions, cannot_write, insist, reason
from dmdd_edge.runtime.sinks.ledger import Ledger
from dmdd_edge.runtime.sinks.locking import lock
from dmdd_edge.runtime.sinks.quota import DiskQuota
from dmdd_edge.runtime.sinks.recovery import (
    LineFormat,
    find_parts,
    frames_in,
    last_line,
    part_path,
    settle_existing,
)
from dmdd_edge.runtime.sinks.resume import Done
from dmdd_edge.runtime.sinks.syncing import Syncer, sync_folder

#: Between two tries to write what waits, while a live run goes on, in seconds.
RETRY = 1.0


class LineFile:
    """Lines of results in a file; see ``FileOptions`` for what it does about a full disk and the rest.

    A line is handed to the kernel in one call on a descriptor that appends, so that neither a reader nor a
    kill sees a part of one. (On a full disk the kernel may take a part. What is missing then follows as soon
    as there is space; a run that ends before that cuts the part off.)

    A file that is removed, moved away or cut while it is written is noticed, and a new one is begun at the
    same place, as after log rotation; a run over files ends unless it was moved, since results are gone.

    Args:
        path: the file; its folder is made. Of a symbolic link, the file it points to.
        form: of the lines.
        options: how it is written.

    Attributes:
        path: see above.
        done: the frames that the file and its rotated parts have already; empty unless it is resumed.
        last: the line that the file ended with when it was opened, empty for none.
        written: lines that this run has written.
        lost: lines that a live run could not write.

    Raises:
        DmddError: it cannot be written, holds results that are not to be touched, or is in use.
    """

    def __init__(self, path: Path, form: LineFormat, options: FileOptions) -> None:
        # Path.resolve raises RuntimeError for a link that points to itself; opening it says what is wrong.
        self.path = Path(os.path.realpath(path))
        self._form, self._options = form, options
        self.done = Done(form.read_back)
        self.last = b""
        self.written = self.lost = 0
        self._waiting: deque[bytes] = deque()
        self._torn = 0  # how much of the first of them is written
        self._whole = b""  # that one
        self._away = False
        self._next_try = 0.0
        self._number = 1
        self._descriptor: int | None = None
        self._began = False
        self._keep: DiskQuota | None = None
        self._ledger: Ledger | None = None
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = self._open()
            # A device such as /dev/null has no earlier lines, is not rotated, and takes no space.
            self._regular = stat.S_ISREG(os.fstat(descriptor).st_mode)
            if self._regular:
                self._look_back(descriptor)
                self._bound()
        except DmddError:
            self._close_descriptor()
            raise
        except OSError as error:
            self._close_descriptor()
            raise DmddError(f"{path} cannot be written: {reason(error)}.", "Name another file.") from error
        self._syncer = Syncer(options.fsync if self._regular else "never", self._not_synced)

    def write(self, line: bytes) -> None:
        """Append a line, its break included.

        Raises:
            DmddError: of a run over files: the disk did not take it, for as long as the options allow.
        """
        self._waiting.append(line)
        if self._options.live:
            self._try_waiting()
        else:
            insist(self._write_waiting, self.path, self._options)

    def close(self) -> None:
        """Write what waits if that is possible, force it onto the disk, close the file.

        Raises:
            DmddError: of a run over files: it could not be forced onto the disk.
        """
        try:
            self._write_waiting()
            if self._descriptor is not None and self.written and not self._options.live:
                self._check_place(self._descriptor, begin=False)
            if self._regular and self._size == 0 and self._form.header:
                os.write(self._opened(), self._form.header)
        except OSError:
            if self._descriptor is not None and self._torn:
                os.ftruncate(self._descriptor, self._size - self._torn)
        finally:
            if self._waiting and self._options.live:
                self.lost += len(self._waiting)
                self._options.note(f"{self.path}: {self.lost} results could not be written and are lost.")
            self._waiting.clear()
            try:
                self._syncer.close()
            finally:
                self._close_descriptor()

    def _look_back(self, descriptor: int) -> None:
        """Settle what an earlier run left, and read from it what is done."""
        settle_existing(descriptor, self.path, self._form, self._options.existing)
        self._size = os.fstat(descriptor).st_size
        self.last = last_line(descriptor)
        parts = find_parts(self.path)
        if parts:
            self._number = parts[-1][0] + 1
        if self._options.existing == "resume":
            for path in (*(part for _, part in parts), self.path):
                for source, status in frames_in(path, self._form):
                    self.done.add(source, status)

    def _bound(self) -> None:
        """Put the file under the bound on disk use; not a resumed one, whose lines say what is done."""
        if self._options.keep is None or self._options.existing == "resume":
            return
        self._keep = self._options.keep
        self._ledger = self._keep.ledger(self.path.parent, f".{self.path.name}.dmdd-edge-files")
        self._keep.count_in_use(lambda: self._size)

    def retry(self) -> None:
        """Write what waits, when nothing else is to be written."""
        if self._waiting and self._options.live:
            self._try_waiting()

    def _try_waiting(self) -> None:
        """Of a live run: write what waits, or leave it waiting within the bound."""
        now = time.monotonic()
        if not self._away or now >= self._next_try:
            try:
                self._write_waiting()
                if self._away:
                    lost = f"; {self.lost} results are lost" if self.lost else "; no result is lost"
                    self._options.note(f"{self.path} is written again{lost}.")
                self._away = False
            except OSError as error:
                if not self._away:
                    self._options.note(
                        f"{self.path} cannot be written: {reason(error)}. The run goes on; "
                        f"up to {self._options.backlog} results wait in memory."
                    )
                self._away, self._next_try = True, now + RETRY
        while len(self._waiting) > max(1, self._options.backlog):
            if self.lost == 0:
                self._options.note(f"{self.path}: too many results wait; the oldest are dropped from now on.")
            # The rest of a line that is written in part must follow, whatever else is dropped.
            del self._waiting[1 if self._torn else 0]
            self.lost += 1

    def _write_waiting(self) -> None:
        """Write all that waits, in order; what was written does not wait any more, also after an error.

        Raises:
            OSError: the disk takes no more.
        """
        while self._waiting:
            self._check_place(self._opened())  # first, since it tells the size
            line = self._waiting[0]
            if not self._torn:
                self._whole = line
                self._make_room(len(line))
                if self._size == 0:
                    line = self._form.header + line  # in one call, so that a file has both or neither
            descriptor = self._opened()
            count = os.write(descriptor, line)
            self._size += count
            if count < len(line):
                self._torn += count
                self._waiting[0] = line[count:]
                continue  # the next call says what is wrong
            self._torn = 0
            self._waiting.popleft()
            self.written += 1
            self._syncer.wrote(descriptor)

    def _check_place(self, descriptor: int, begin: bool = True) -> None:
        """See that what is written can be found under the file's name, or begin a new file there.

        Raises:
            DmddError: of a run over files: earlier results are gone.
            OSError: the disk is away, or no new file can be begun.
        """
        if not self._regular:
            return
        found = os.fstat(descriptor)
        try:
            there = os.path.samestat(found, self.path.stat())
        except (FileNotFoundError, NotADirectoryError):
            there = False
        if there and found.st_size >= self._size:
            return
        gone = there or found.st_nlink == 0
        if gone and not self._options.live:
            what = "cut" if there else "removed or replaced"
            raise DmddError(
                f"{self.path} was {what} while the run wrote to it.",
                "Rerun the same command with --resume: it judges again what the file lacks.",
            )
        if self._torn:  # the rest of a line alone would be of no use
            self._waiting[0], self._torn = self._whole, 0
        if there:  # as programs cut a log that they have copied
            self._size = found.st_size
            return
        if not begin:
            return
        self._options.note(
            f"{self.path} was {'removed' if gone else 'moved away'}. A new file is begun there."
        )
        self._syncer.settle()
        self._close_descriptor()
        self._open()

    def _make_room(self, length: int) -> None:
        """Begin a new file when this one would grow too large, and keep to the bound on disk use."""
        limit = self._options.rotate_at
        if limit is not None and self._regular and self._size > len(self._form.header):  # noqa: SIM102
            if self._size + length > limit:
                self._rotate()
        if self._keep is not None:
            self._keep.make_room(length + len(self._form.header), self.path.name)

    def _rotate(self) -> None:
        self._syncer.settle()
        found = os.fstat(self._opened())
        while (part := part_path(self.path, self._number)).exists():
            self._number += 1
        if self._ledger is not None:
            self._ledger.enter(part.name, found.st_size, found.st_mtime_ns)
        # Somebody may have moved the file away, as log rotation does: a new one is due all the same.
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, part)  # noqa: PTH104 - the step at which the part appears, by its name
        self._close_descriptor()
        self._open()

    def _opened(self) -> int:
        # It was closed for rotation, and could not be opened then.
        return self._open() if self._descriptor is None else self._descriptor

    def _open(self) -> int:
        """Open the file and lock it.

        Raises:
            DmddError: it is not a regular file; or, before the first line, another run has it.
            OSError: it cannot be opened; or another run took it while it was rotated.
        """
        while True:
            if self._began:
                self.path.parent.mkdir(parents=True, exist_ok=True)
            descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o666)
            try:
                found = os.fstat(descriptor)
                regular = stat.S_ISREG(found.st_mode)
                if not regular and not stat.S_ISCHR(found.st_mode):
                    raise DmddError(f"{self.path} is not a regular file.", "Name another file.")
                if regular and not lock(descriptor):
                    if self._began:
                        raise BlockingIOError(errno.EAGAIN, "another run is writing to it")
                    raise DmddError(f"{self.path} is being written by another run.", "Name another file.")
                # Another run may have put the file aside between the two; then this lock is on its part.
                current = os.path.samestat(found, self.path.stat())
            except FileNotFoundError:
                current = False
            except BaseException:
                os.close(descriptor)
                raise
            if current:
                break
            os.close(descriptor)
        self._descriptor, self._began = descriptor, True
        self._size = os.fstat(descriptor).st_size
        sync_folder(self.path.parent, self._options.fsync)
        return descriptor

    def _close_descriptor(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _not_synced(self, error: OSError) -> None:
        if not self._options.live:
            raise cannot_write(self.path, error) from error
        self._options.note(f"{self.path}: lines may not have reached the disk: {reason(error)}.")
