"""Appending to the segments of a spool: whole lines or nothing, and when they must have reached the disk."""

from __future__ import annotations

import contextlib
import os
import threading
from pathlib import Path

from dmdd_edge.storage import Fsync, fsync_path


class SegmentWriter:
    """Writes to one segment at a time. Calls come under the spool's lock, but for ``sync``.

    A killed process loses nothing that ``append`` has taken, whatever the policy: the kernel has it. The
    policy says what a power cut may cost.

    Args:
        folder: where the segments lie.
        fsync: ``never``: what the kernel had not yet written. ``second``: what came in the last second or
            so, written by a thread of its own, so that nobody waits for the disk. ``always``: nothing, at the
            cost of waiting for the disk at each message.

    Attributes:
        fault: why the disk could not be synced; empty when it could.
    """

    def __init__(self, folder: Path, fsync: Fsync) -> None:
        self._folder = folder
        self._fsync = fsync
        self._file: int | None = None
        self._full: list[int] = []  # segments that are complete and still have to reach the disk
        self._files = threading.Lock()
        self._dirty, self._ended = threading.Event(), threading.Event()
        self.fault = ""
        self._thread: threading.Thread | None = None
        if fsync == "second":
            self._thread = threading.Thread(target=self._sync_each_second, name="spool-sync", daemon=True)
            self._thread.start()

    @property
    def active(self) -> bool:
        """Whether there is a segment to append to."""
        return self._file is not None

    def start(self, path: Path) -> None:
        """Begin a new segment; the one before is complete.

        Raises:
            OSError: it cannot be made.
        """
        opened = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND, 0o600)
        if self._fsync == "always":
            try:
                fsync_path(self._folder)
            except OSError:
                os.close(opened)
                path.unlink(missing_ok=True)
                raise
        self.finish()
        with self._files:
            self._file = opened

    def append(self, line: bytes, size: int) -> None:
        """Append a line, wholly or not at all.

        Args:
            size: how long the segment is before it, in bytes.

        Raises:
            OSError: it was not written; the segment is as before, or is given up and no longer ``active``.
        """
        assert self._file is not None
        try:
            written = os.write(self._file, line)
            if written < len(line):
                raise OSError(f"only {written} of {len(line)} bytes were written")
            if self._fsync == "always":
                os.fsync(self._file)
        except OSError:
            try:
                os.ftruncate(self._file, size)
            except OSError:
                self.finish()  # a part of the line stays behind; nothing may follow it
            raise
        if self._fsync == "second":
            self._dirty.set()

    def finish(self) -> None:
        """The segment is complete: nothing more is appended to it."""
        with self._files:
            done, self._file = self._file, None
            if done is None:
                return
            if self._fsync == "second":
                self._full.append(done)
                self._dirty.set()
            else:
                os.close(done)

    def sync(self) -> None:
        """Wait until everything appended so far is on the disk. Appending goes on meanwhile."""
        with self._files:
            waiting, self._full = self._full, []
            if self._file is not None:
                waiting.append(os.dup(self._file))
        self.fault = ""
        for opened in waiting:
            try:
                os.fsync(opened)
            except OSError as error:
                self.fault = str(error)
            finally:
                os.close(opened)
        with contextlib.suppress(OSError):
            fsync_path(self._folder)

    def close(self) -> None:
        """End the segment and, but under ``never``, wait until it is on the disk."""
        self._ended.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join()
        self.finish()
        if self._fsync == "second":
            self.sync()

    def _sync_each_second(self) -> None:
        while True:
            self._dirty.wait()
            if self._ended.wait(1.0):
                return
            self._dirty.clear()
            self.sync()
