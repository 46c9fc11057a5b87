"""Writing to a stream that may be full, stand still or be gone, without waiting for it."""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Literal

#: Pause between two tries after an error, in seconds.
RETRY = 1.0

#: The most that is written in one call: what a pipe that reports room takes without blocking.
_AT_ONCE = 4096

#: How long one look at a stream waits for room, in seconds.
_LOOK = 0.25

#: How long ``flush`` waits for a stream that has worked so far, in seconds.
_FLUSH = 0.1


class Outlet:
    """Hands pieces of output to a descriptor from its own thread, in order; nothing here blocks or raises.

    After an error (a full disk, a terminal that is gone) and while nobody reads, pieces wait in memory. They
    are written later. What exceeds the bound is dropped and counted.

    Args:
        descriptor: open for writing; it stays open.
        room: how many pieces may wait, 2 or more.
        drop: which pieces go when too many wait: the ``new`` ones, until nothing waits any more, or the
            ``old`` ones.
        notice: makes the text that is written in the place of the new pieces that were dropped, from their
            count of lines.

    Attributes:
        error: why the last try failed; None when it did not.
        lost: how many pieces (under ``drop="new"``: lines) were dropped.
        torn: how many bytes of the oldest waiting piece are written already.
    """

    def __init__(
        self,
        descriptor: int,
        room: int,
        drop: Literal["new", "old"],
        notice: Callable[[int], bytes] | None = None,
    ) -> None:
        self._descriptor, self._room, self._drop, self._notice = descriptor, room, drop, notice
        self._process = os.getpid()
        self._changed = threading.Condition()
        self._waiting: deque[bytes] = deque()
        self._gap = 0  # lines dropped since the last notice
        self._moved = time.monotonic()  # when something was written last, or had nothing to wait for
        self._still = False
        self._closing, self._given_up = threading.Event(), False
        self._thread: threading.Thread | None = None
        self.error: OSError | None = None
        self.lost = 0
        self.torn = 0

    def put(self, piece: bytes) -> None:
        """Write a piece when its turn comes."""
        if not piece or self._given_up:
            return
        if os.getpid() != self._process:
            self._write_in_a_child(piece)
            return
        with self._changed:
            if self._drop == "new" and (self._gap or len(self._waiting) >= self._room):
                lines = max(piece.count(b"\n"), 0 if self._gap else 1)
                self._gap += lines
                self.lost += lines
                return
            if len(self._waiting) >= self._room:
                del self._waiting[1]  # the first may be half written
                self.lost += 1
            if not self._waiting:
                self._moved = time.monotonic()
            self._waiting.append(piece)
            if self._thread is None:
                self._start()
            self._changed.notify_all()

    @property
    def waiting(self) -> int:
        """How many pieces are not written yet."""
        return len(self._waiting)

    @property
    def still_for(self) -> float:
        """For how many seconds nothing was taken although something waits."""
        return time.monotonic() - self._moved if self._waiting else 0.0

    def flush(self) -> None:
        """Wait a moment for what waits, so that output keeps its order; not for a stream that is stuck."""
        if os.getpid() == self._process and self.error is None and not self._still:
            self._still = not self.wait(_FLUSH)

    def wait(self, seconds: float) -> bool:
        """Wait until all is written.

        Args:
            seconds: how long; ended early by an error.

        Returns:
            Whether all is written.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._waiting or self.error is not None, seconds)
            return not self._waiting

    def close(self, patience: float) -> bool:
        """Write what waits, as long as it is being taken; nothing is written afterwards.

        Args:
            patience: how long a stream that takes nothing is waited for, in seconds.

        Returns:
            Whether all is written.
        """
        with self._changed:
            self._moved = time.monotonic()
            self._closing.set()
            self._changed.notify_all()
            while self._waiting and self._thread is not None:
                left = self._moved + patience - time.monotonic()
                if left <= 0:
                    break
                self._changed.wait(min(left, _LOOK))
            self._given_up = True
            return not self._waiting

    def _start(self) -> None:
        self._thread = threading.Thread(target=self._work, name="dmdd-outlet", daemon=True)
        try:
            self._thread.start()
        except RuntimeError:  # the interpreter is ending, or the machine has no thread left
            self._thread = None

    def _work(self) -> None:
        while True:
            with self._changed:
                while not self._waiting and not self._closing.is_set():
                    self._changed.wait()
                if not self._waiting or self._given_up:
                    self._thread = None
                    self._changed.notify_all()
                    return
                piece = self._waiting[0]
            count, error = self._try(piece)
            with self._changed:
                self._note(piece, count, error)
                if error is not None and self._closing.is_set():
                    self._thread = None
                self._changed.notify_all()
                if self._thread is None:
                    return
            if error is not None:
                self._closing.wait(RETRY)

    def _try(self, piece: bytes) -> tuple[int, OSError | None]:
        """How many bytes were taken; none and no error when there was no room."""
        try:
            if not _has_room(self._descriptor, _LOOK):
                return 0, None
            return os.write(self._descriptor, piece[:_AT_ONCE]), None
        except BlockingIOError:
            time.sleep(_LOOK / 10)
            return 0, None
        except OSError as error:
            return 0, error

    def _note(self, piece: bytes, count: int, error: OSError | None) -> None:
        self.error = error
        if count:
            self._moved, self._still = time.monotonic(), False
            self.torn += count
            if count == len(piece):
                self.torn = 0
                self._waiting.popleft()
            else:
                self._waiting[0] = piece[count:]
        if not self._waiting and self._gap:
            if self._notice is not None:
                self._waiting.append(self._notice(self._gap))
            self._gap = 0

    def _write_in_a_child(self, piece: bytes) -> None:
        """In a forked process, which has neither the thread nor a lock that it could trust."""
        with contextlib.suppress(OSError):
            while piece and _has_room(self._descriptor, 0):
                piece = piece[os.write(self._descriptor, piece[:_AT_ONCE]) :]


def write_all(descriptor: int, data: bytes) -> None:
    """Write to a descriptor, waiting for room as long as it takes.

    Raises:
        OSError: it cannot be written.
    """
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except BlockingIOError:  # whoever started the program opened it so
            _has_room(descriptor, _LOOK)


def _has_room(descriptor: int, seconds: float) -> bool:
    """Whether a write of ``_AT_ONCE`` bytes would not block, or would fail, within that time."""
    ready = select.poll()
    ready.register(descriptor, select.POLLOUT)
    return bool(ready.poll(1000 * seconds))
