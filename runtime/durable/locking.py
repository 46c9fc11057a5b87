"""One process per file: a lock that the kernel releases when its holder ends, however it ends."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

from dmdd_edge.locking import try_lock


def open_locked(path: Path, mode: int = 0o666) -> int:
    """Open a file for reading and appending, and lock it; it is created if missing.

    A device is not locked, and neither is a file on a file system without locks (some network shares).

    Args:
        path: the file.
        mode: permissions of a new file, before the umask.

    Returns:
        The descriptor; the lock ends when it is closed.

    Raises:
        BlockingIOError: another process holds the file.
        OSError: it cannot be opened.
    """
    while True:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, mode)
        try:
            status = os.fstat(descriptor)
            if stat.S_ISREG(status.st_mode) and try_lock(descriptor) is False:
                raise BlockingIOError(errno.EAGAIN, "another run is writing to it")
            # The holder may have renamed the file between the two calls; then this lock is on the old one.
            current = os.path.samestat(status, path.stat())
        except FileNotFoundError:
            current = False
        except BaseException:
            os.close(descriptor)
            raise
        if current:
            return descriptor
        os.close(descriptor)
