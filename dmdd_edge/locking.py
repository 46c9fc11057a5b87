"""One writer a folder: a lock that the system releases when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.failures import storage_error

#: What a file system without locks answers (some network shares): it cannot tell, and counts as free.
_NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EINVAL)
#: What a folder that cannot be written answers: nobody else changes it from here either.
_NOT_OURS = (errno.EROFS, errno.EACCES, errno.EPERM)


@contextmanager
def locked(
    folder: Path,
    busy: Callable[[str], DmddError],
    *,
    shared: bool = False,
    path: Path | None = None,
    required: bool = False,
) -> Iterator[None]:
    """Hold a folder inside the block; the folder itself need not exist, the one above it must.

    The lock is a file, which stays: removing it would let two holders in.

    Args:
        folder: what is held.
        busy: makes the error from words that name the holder, such as "process 4711 on line-3".
        shared: hold it together with others that read it, and against one that writes it.
        path: of the lock; None puts a hidden file beside the folder.
        required: raise an error where the file system has no locks, instead of counting the folder as free.

    Raises:
        DmddError: ``busy``'s, where another process holds it; or the lock cannot be made.
    """
    path = path or folder.with_name(f".{folder.name[:200]}.lock")
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    except OSError as error:
        if shared and error.errno in (*_NOT_OURS, errno.ENOENT):
            yield
            return
        raise storage_error(error, folder, "written") from error
    try:
        try:
            free = try_lock(handle, shared=shared)
        except OSError as error:
            raise storage_error(error, folder, "locked") from error
        if free is None and required:
            raise storage_error(OSError(errno.ENOLCK, os.strerror(errno.ENOLCK)), folder, "locked")
        if free is False:
            holder = os.pread(handle, 200, 0).decode("utf-8", "replace").strip("\0\n ")
            raise busy(holder or "another process")
        # Only a help for whoever is turned away; on a full disk the lock holds without it.
        with contextlib.suppress(OSError):
            who = "" if shared else f"process {os.getpid()} on {socket.gethostname()}"
            os.ftruncate(handle, 0)
            os.pwrite(handle, who.encode(), 0)
        yield
    finally:
        os.close(handle)


def try_lock(descriptor: int, *, shared: bool = False) -> bool | None:
    """Lock an open file for this process, without waiting; the lock ends when the file is closed.

    Returns:
        Whether it is locked now: False if another process holds it, None if the file system has no locks.

    Raises:
        OSError: the system reports another error.
    """
    try:
        fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError as error:
        if error.errno not in _NO_LOCKS:
            raise
        return None
    return True
