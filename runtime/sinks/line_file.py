"""A file of result lines: appended whole, rotated by size, waiting in memory while the disk is full."""

from __future__ import annotations

import contextlib
import os
import stat
import time
from collections import deque
from dataclasses import replace
from pathlib import Path

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.durable.locking import open_locked
from dmdd_edge.runtime.durable.syncing import Syncer
from dmdd_edge.runtime.sinks.file_options import CannotWriteError, FileOptions, cannot_write, insist, reason
from dmdd_edge.runtime.sinks.ledger import Ledger
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

#: Seconds between two attempts to write waiting lines during a live run.
RETRY = 1.0


class LineFile:
    """Result lines in a file; ``FileOptions`` says what happens on a full disk and in similar cases.

    A line reaches the kernel in one call on a descriptor that appends, so neither a reader nor a kill sees a
    part of one (``Appender``).

    A file that is removed, moved or truncated while it is written is noticed, and a new one is begun at the
    same place, as after log rotation. A run over files ends instead unless the file was moved, because
    results are gone.

    Args:
        path: the file; its folder is created. Of a symbolic link, the file that it points to.
        form: format of the lines.
        options: how the file is written.

    Attributes:
        path: see above.
        done: frames that the file and its rotated parts already have; empty unless the run is resumed.
        last: the last line of the file when it was opened; may be empty.
        written: number of lines that this run has written.
        lost: number of lines that a live run could not write.

    Raises:
        DmddError: the file cannot be written, holds results that must not change, or is in use.
    """

    def __init__(self, path: Path, form: LineFormat, options: FileOptions) -> None:
        # Path.resolve raises RuntimeError for a link that points to itself; opening it says what is wrong.
        self.path = Path(os.path.realpath(path))
        self._form, self._options = form, options
        self.done = Done(form.read_back)
        self.last = b""
        self.written = self.lost = 0
        self._waiting: deque[bytes] = deque()
        self._failing = False
        self._next_try = 0.0
        self._number = 1
        self._file: Appender | None = None
        self._began = self._regular = False
        self._quota: DiskQuota | None = None
        self._ledger: Ledger | None = None
        self._syncer = Syncer(options.fsync)
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            file = self._open()
            if self._regular:
                self._read_existing(file)
                self._join_quota()
            else:
                # A device such as /dev/null has no earlier lines, is not rotated, and needs no space.
                # Nobody can free some on /dev/full, so nothing is waited for either.
                self._syncer = Syncer("never")
                self._options = replace(options, patience=0.0)
        except DmddError:
            self._close_file()
            raise
        except OSError as error:
            self._close_file()
            raise cannot_write(path, error, "Name another file.") from error

    def write(self, line: bytes) -> None:
        """Append a line, line break included.

        Raises:
            DmddError: in a run over files: the disk rejected it for as long as the options allow.
        """
        self._waiting.append(line)
        if self._options.live:
            self._try_waiting()
        else:
            insist(self._write_waiting, self.path, self._options)

    def retry(self) -> None:
        """Write waiting lines; called while no new line comes."""
        if self._waiting and self._options.live:
            self._try_waiting()

    def close(self) -> None:
        """Write waiting lines if possible, sync the file and close it.

        Raises:
            DmddError: in a run over files: the file could not be synced.
        """
        try:
            self._write_waiting()
            if self._file is not None and self.written and not self._options.live:
                self._check_place(self._file, begin=False)
            if self._regular and self._size == 0 and self._form.header:
                self._opened().append(self._form.header)
        except CannotWriteError:
            raise
        except OSError:
            if self._file is not None and self._file.torn:
                with contextlib.suppress(OSError):
                    self._file.cut(self._file.size)
        finally:
            if self._waiting and self._options.live:
                self.lost += len(self._waiting)
                self._options.note(f"{self.path}: {self.lost} results could not be written and are lost.")
            self._waiting.clear()
            try:
                self._syncer.close()
                self._report_sync_error()
            finally:
                self._close_file()

    @property
    def failing(self) -> bool:
        """Whether the last attempt of a live run to write failed, so that lines wait or are lost."""
        return self._failing

    @property
    def _size(self) -> int:
        return 0 if self._file is None else self._file.size

    def _read_existing(self, file: Appender) -> None:
        """Settle what an earlier run left, and read which frames it has."""
        settle_existing(file, self.path, self._form, self._options.existing)
        self.last = last_line(file.descriptor)
        parts = find_parts(self.path)
        if parts:
            self._number = parts[-1][0] + 1
        if self._options.existing == "resume":
            for path in (*(part for _, part in parts), self.path):
                for source, status in frames_in(path, self._form):
                    self.done.add(source, status)

    def _join_quota(self) -> None:
        """Count the file against the disk quota; not a resumed one, whose lines say what is done."""
        if self._options.keep is None or self._options.existing == "resume":
            return
        self._quota = self._options.keep
        self._ledger = self._quota.ledger(self.path.parent, f".{self.path.name}.dmdd-edge-files")
        self._quota.count_in_use(lambda: self._size)

    def _try_waiting(self) -> None:
        """In a live run: write waiting lines, or keep them waiting within the bound."""
        now = time.monotonic()
        if not self._failing or now >= self._next_try:
            try:
                self._write_waiting()
                if self._failing:
                    lost = f"{self.lost} results are lost" if self.lost else "no result is lost"
                    self._options.note(f"{self.path} is written again; {lost}.")
                self._failing = False
            except OSError as error:
                if not self._failing:
                    self._options.note(
                        f"{self.path} cannot be written: {reason(error)}. The run continues; "
                        f"up to {self._options.backlog} results wait in memory."
                    )
                self._failing, self._next_try = True, now + RETRY
        while len(self._waiting) > max(1, self._options.backlog):
            if self.lost == 0:
                self._options.note(f"{self.path}: too many results wait; the oldest are dropped from now on.")
            self._waiting.popleft()
            self.lost += 1

    def _write_waiting(self) -> None:
        """Write all waiting lines in order; a written line waits no longer, also after an error.

        Raises:
            OSError: the disk rejects the next one.
        """
        while self._waiting:
            self._check_place(self._opened())  # first, because it updates the size
            line = self._waiting[0]
            self._make_room(len(line))
            file = self._opened()
            # The header in the same call, so that a file has both or neither.
            file.append(line if file.size else self._form.header + line)
            self._waiting.popleft()
            self.written += 1
            try:
                self._syncer.wrote(file.descriptor)
            except OSError as error:
                self._not_synced(error)
            self._report_sync_error()

    def _check_place(self, file: Appender, begin: bool = True) -> None:
        """See that the file is still found under its name, or begin a new one there.

        Raises:
            DmddError: in a run over files: earlier results are gone.
            OSError: the disk is not available, or no new file can be begun.
        """
        if not self._regular:
            return
        status = os.fstat(file.descriptor)
        try:
            in_place = os.path.samestat(status, self.path.stat())
        except (FileNotFoundError, NotADirectoryError):
            in_place = False
        if in_place and status.st_size >= file.size:
            return
        lost = in_place or status.st_nlink == 0
        if lost and not self._options.live:
            what = "truncated" if in_place else "removed or replaced"
            raise OptionError(
                f"{self.path} was {what} while the run wrote to it.",
                "Rerun the same command with --resume to process the missing frames again.",
            )
        if in_place:  # as programs truncate a log that they have copied
            file.size, file.torn = status.st_size, False
            return
        if not begin:
            return
        self._options.note(f"{self.path} was {'removed' if lost else 'moved'}. A new file is begun there.")
        self._complete(file)
        self._open()

    def _make_room(self, length: int) -> None:
        """Begin a new file when this one would grow too large, and observe the disk quota."""
        limit = self._options.rotate_at
        if limit is not None and self._regular and self._size > len(self._form.header):  # noqa: SIM102
            if self._size + length > limit:
                self._rotate()
        if self._quota is not None:
            self._quota.make_room(length + len(self._form.header), self.path.name)

    def _rotate(self) -> None:
        file = self._opened()
        status = os.fstat(file.descriptor)
        while (part := part_path(self.path, self._number)).exists():
            self._number += 1
        if self._ledger is not None:
            self._ledger.enter(part.name, status.st_size, status.st_mtime_ns)
        # Somebody may have moved the file, as log rotation does: a new one is due all the same.
        with contextlib.suppress(FileNotFoundError):
            os.rename(self.path, part)  # noqa: PTH104 - the step at which the part appears, by its name
        self._complete(file)
        self._open()

    def _opened(self) -> Appender:
        # It was closed for rotation, and could not be opened then.
        return self._open() if self._file is None else self._file

    def _open(self) -> Appender:
        """Open the file and lock it.

        Raises:
            DmddError: it is not a regular file; or, before the first line, another run has it.
            OSError: it cannot be opened; or another run took it while it was rotated.
        """
        if self._began:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        try:
            descriptor = open_locked(self.path)
        except BlockingIOError:
            if self._began:
                raise
            raise OptionError(f"{self.path} is being written by another run.", "Name another file.") from None
        mode = os.fstat(descriptor).st_mode
        if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):
            os.close(descriptor)
            raise DmddError(f"{self.path} is not a regular file.", "Name another file.")
        self._file = Appender(descriptor)
        self._began, self._regular = True, stat.S_ISREG(mode)
        with contextlib.suppress(OSError):  # some network shares cannot
            self._syncer.created(self.path.parent)
        return self._file

    def _complete(self, file: Appender) -> None:
        """Nothing more is written to this file."""
        self._file = None
        self._syncer.completed(file.descriptor)

    def _close_file(self) -> None:
        if self._file is not None:
            os.close(self._file.descriptor)
            self._file = None

    def _report_sync_error(self) -> None:
        error = self._syncer.take_error()
        if error is not None:
            self._not_synced(error)

    def _not_synced(self, error: OSError) -> None:
        if not self._options.live:
            raise cannot_write(self.path, error) from error
        self._options.note(f"{self.path}: lines may not have reached the disk: {reason(error)}.")
