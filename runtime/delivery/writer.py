"""Append messages to the segments of a spool, one segment at a time."""

from __future__ import annotations

import os
from pathlib import Path

from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.durable.syncing import Syncer
from dmdd_edge.storage import Fsync


class SegmentWriter:
    """Writes to one segment at a time; all calls come under the spool's lock.

    Args:
        folder: of the segments.
        fsync: what a power cut may cost; see ``Syncer``.
    """

    def __init__(self, folder: Path, fsync: Fsync) -> None:
        self._folder = folder
        self._syncer = Syncer(fsync)
        self._segment: Appender | None = None

    @property
    def active(self) -> bool:
        """Whether there is a segment to append to."""
        return self._segment is not None

    @property
    def fault(self) -> str:
        """Why the disk could not be synced; empty if it could."""
        return str(self._syncer.fault or "")

    def start(self, path: Path) -> None:
        """Begin a new segment; the one before is complete.

        Raises:
            OSError: it cannot be created.
        """
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            self._syncer.created(self._folder)
        except OSError:
            os.close(descriptor)
            path.unlink(missing_ok=True)
            raise
        self.finish()
        self._segment = Appender(descriptor)

    def append(self, line: bytes) -> None:
        """Append a line, wholly or not at all.

        Raises:
            OSError: it was not written; the segment is as before, or is complete and no longer ``active``.
        """
        segment = self._segment
        assert segment is not None
        before = segment.size
        try:
            segment.append(line)
            self._syncer.wrote(segment.descriptor)
        except OSError:
            try:
                segment.cut(before)
            except OSError:
                self.finish()  # a part of the line remains; nothing may follow it
            raise

    def finish(self) -> None:
        """Complete the segment: nothing more is appended to it."""
        segment, self._segment = self._segment, None
        if segment is not None:
            self._syncer.completed(segment.descriptor)

    def close(self) -> None:
        """Complete the segment and, except under ``never``, wait until it is on the disk."""
        self.finish()
        self._syncer.close()
