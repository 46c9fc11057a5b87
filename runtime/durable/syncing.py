"""When written data is forced onto the disk: never, within a second, at once."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from pathlib import Path

from dmdd_edge.storage import Fsync, fsync_path

_SECOND = 1.0


class Syncer:
    """Follows the policy ``--fsync`` for files that are written one after the other.

    A killed process loses nothing under any policy: the kernel has what was written. The policy says what a
    power cut may cost. ``never``: what the kernel has not written yet. ``second``: about the last second; a
    thread syncs, so the writer never waits for the disk. ``always``: nothing; each write waits for the disk.

    All methods but ``sync`` are called by one thread.

    Args:
        policy: see above.

    Attributes:
        fault: why the last sync of the thread failed; None if it succeeded.
    """

    def __init__(self, policy: Fsync) -> None:
        self._policy = policy
        self._lock = threading.Lock()
        self._current: int | None = None
        self._completed: list[int] = []
        self._folders: set[Path] = set()
        self._dirty, self._closing = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._error: OSError | None = None
        self.fault: OSError | None = None

    def created(self, folder: Path) -> None:
        """A file was created or renamed in this folder.

        Raises:
            OSError: under ``always``: the disk rejects the sync.
        """
        if self._policy == "always":
            fsync_path(folder)
        elif self._policy == "second":
            with self._lock:
                self._folders.add(folder)

    def wrote(self, descriptor: int) -> None:
        """Data was written to this file; it stays open until ``completed``.

        Raises:
            OSError: under ``always``: the disk rejects the sync. It is not tried again: after an error the
                kernel forgets what it could not write, so a second try would only seem to succeed. Under
                ``second``: the machine cannot start the thread.
        """
        if self._policy == "always":
            os.fsync(descriptor)
        elif self._policy == "second":
            with self._lock:
                self._current = descriptor
            self._dirty.set()
            if self._thread is None:
                self._start_thread()

    def completed(self, descriptor: int) -> None:
        """Nothing more is written to this file: sync it as the policy says, and close it."""
        with self._lock:
            if self._current == descriptor:
                self._completed.append(descriptor)
                self._current = None
                self._dirty.set()
                return
        os.close(descriptor)

    def sync(self) -> None:
        """Wait until everything written so far is on the disk; the writer may continue meanwhile."""
        fault: OSError | None = None
        with self._lock:
            descriptors, self._completed = self._completed, []
            folders, self._folders = self._folders, set()
            if self._current is not None:
                try:
                    descriptors.append(os.dup(self._current))
                except OSError:  # no descriptor is left: the writer has to wait
                    fault = self._sync_one(self._current)
        for descriptor in descriptors:
            fault = self._sync_one(descriptor) or fault
            os.close(descriptor)
        for folder in folders:
            with contextlib.suppress(OSError):  # it may be gone
                fsync_path(folder)
        self.fault = fault

    def take_error(self) -> OSError | None:
        """The error of a sync that the thread made, once for each."""
        error, self._error = self._error, None
        return error

    def close(self) -> None:
        """Sync what is left, and end the thread."""
        self._closing.set()
        self._dirty.set()
        if self._thread is not None:
            self._thread.join()
        self.sync()

    def _sync_one(self, descriptor: int) -> OSError | None:
        try:
            os.fsync(descriptor)
        except OSError as error:
            self._error = error
            return error
        return None

    def _start_thread(self) -> None:
        thread = threading.Thread(target=self._run, name="fsync", daemon=True)
        try:
            thread.start()
        except RuntimeError as error:
            raise OSError(errno.EAGAIN, "no further thread can be started") from error
        self._thread = thread

    def _run(self) -> None:
        # The end is looked at after the event is cleared too: `close` may come in between, and sets it once.
        while not self._closing.is_set():
            self._dirty.wait()
            if self._closing.wait(_SECOND):
                return
            self._dirty.clear()  # first, so that what is written meanwhile counts for the next sync
            self.sync()
