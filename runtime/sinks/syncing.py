"""When lines that were written are forced onto the disk: never, within a second, at once."""

from __future__ import annotations

import contextlib
import os
import threading
from collections.abc import Callable
from pathlib import Path

from dmdd_edge.storage import Fsync

_SECOND = 1.0


class Syncer:
    """Follows the policy ``--fsync`` for one file at a time; see ``FileOptions`` for what it promises.

    Under ``second`` a thread does it, within a second of the first line that is not on the disk yet: also
    when no other line follows, and without the writer waiting for it.

    Args:
        policy: see above.
        failed: told of an error, by the thread that writes; it may raise. Nothing is tried again: after an
            error the kernel forgets what it could not write, so a second try would only seem to succeed.
    """

    def __init__(self, policy: Fsync, failed: Callable[[OSError], None]) -> None:
        self._policy, self._failed = policy, failed
        self._descriptor: int | None = None
        self._error: OSError | None = None
        self._lock = threading.Lock()
        self._dirty, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None

    def wrote(self, descriptor: int) -> None:
        """Something was written to this file."""
        if self._policy == "always":
            self._sync(descriptor)
        elif self._policy == "second":
            self._descriptor = descriptor
            self._dirty.set()
            if self._thread is None:
                thread = threading.Thread(target=self._run, name="fsync", daemon=True)
                thread.start()  # raises where the machine has no thread left
                self._thread = thread
        self._tell()

    def settle(self) -> None:
        """Force what is left onto the disk; the file may be closed after that."""
        with self._lock:
            self._sync_dirty()
            self._descriptor = None
        self._tell()

    def close(self) -> None:
        """Settle, and end the thread."""
        try:
            self.settle()
        finally:
            self._closing.set()
            self._dirty.set()
            if self._thread is not None:
                self._thread.join()

    def _tell(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            self._failed(error)

    def _run(self) -> None:
        while True:
            self._dirty.wait()
            if self._closing.wait(_SECOND):
                return
            with self._lock:
                self._sync_dirty()

    def _sync_dirty(self) -> None:
        if self._dirty.is_set() and self._descriptor is not None:
            # Cleared first: a line that is written meanwhile asks for the next time.
            self._dirty.clear()
            self._sync(self._descriptor)

    def _sync(self, descriptor: int) -> None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._error = error


def sync_folder(folder: Path, policy: Fsync) -> None:
    """Force the names in a folder onto the disk, unless the policy is ``never``."""
    if policy == "never":
        return
    with contextlib.suppress(OSError):  # some network shares cannot
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
