"""One process a spool: a lock that the kernel lets go of when its holder dies, however it dies."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from dmdd_edge.errors import DmddError


class FolderLock:
    """Holds a folder until ``release``.

    Args:
        folder: must exist; gets a file ``lock``.

    Raises:
        DmddError: another process holds it, or the file system cannot lock.
        OSError: the file cannot be opened or made.
    """

    def __init__(self, folder: Path) -> None:
        self._file = os.open(folder / "lock", os.O_RDWR | os.O_CREAT, 0o600)
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.read(self._file, 32).decode("ascii", "replace").strip()
            os.close(self._file)
            who = f"process {holder}" if holder else "another process"
            raise DmddError(
                f"the spool {folder} is in use by {who}.",
                "Stop that run, or give this one a spool of its own: --spool FOLDER.",
            ) from None
        except OSError as error:
            os.close(self._file)
            raise DmddError(
                f"the spool {folder} cannot be locked: {error}.",
                "Name a folder on a local disk: --spool FOLDER.",
            ) from error
        # Only a help for whoever is turned away; on a full disk the lock holds without it.
        with contextlib.suppress(OSError):
            os.pwrite(self._file, b"%-31d\n" % os.getpid(), 0)

    def release(self) -> None:
        """Let the folder go."""
        os.close(self._file)
