"""A file of lines to which several processes add, one at a time: each line is whole, and on the disk."""

from __future__ import annotations

import errno
import os
import time
from pathlib import Path

from dmdd_edge.failures import storage_errors
from dmdd_edge.locking import try_lock
from dmdd_edge.outside_files import open_to_append
from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.durable.lines import whole_length
from dmdd_edge.storage import fsync_path

#: The longest wait for another process that adds a line, and how often this one looks, in seconds.
_PATIENCE, _LOOK = 10.0, 0.005


def add_line(path: Path, line: bytes) -> None:
    """Add a line to a file, which is made by the first one; when this returns, it is on the disk.

    Args:
        path: of the file; its folder must exist.
        line: without its line break.

    Raises:
        StorageError: it cannot be written, is not a regular file, or another process holds it for too long;
            nothing is added.
    """
    with storage_errors(path, "written"):
        handle = open_to_append(path)
        try:
            _wait_for(handle)
            appender = whole_appender(handle)
            first = appender.size == 0
            appender.append(line + b"\n")
            os.fsync(handle)
        finally:
            os.close(handle)
        if first:
            fsync_path(path.parent)


def whole_appender(descriptor: int) -> Appender:
    """Append to a file of lines behind its last whole line; one that a power cut tore is cut off.

    Args:
        descriptor: open for reading and appending, and nobody else writes to the file.

    Raises:
        OSError: the disk rejects that.
    """
    appender = Appender(descriptor)
    whole = whole_length(descriptor)
    if whole < appender.size:
        appender.cut(whole)
    return appender


def _wait_for(handle: int) -> None:
    deadline = time.monotonic() + _PATIENCE
    while try_lock(handle) is False:
        if time.monotonic() > deadline:
            raise BlockingIOError(errno.EBUSY, os.strerror(errno.EBUSY))
        time.sleep(_LOOK)
