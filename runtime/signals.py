"""Signals as requests: Ctrl-C and SIGTERM to stop, SIGHUP to reload the bundle, between two frames."""

from __future__ import annotations

import os
import signal
import threading
import time
from types import FrameType, TracebackType
from typing import Any

#: Missing on Windows.
_HANGUP: signal.Signals | None = getattr(signal, "SIGHUP", None)


class StopRequest:
    """Listens for SIGINT and SIGTERM inside a ``with`` block; a second one stops at once.

    Outside the main thread, where Python allows no handlers, it has no effect.

    Args:
        hangup: listen for SIGHUP too; see ``take_hangup``.
        one_for: seconds after the first signal in which SIGTERM is the same request again. Whoever stops
            a service often sends it to the group and to the process.

    Attributes:
        received: the signal that arrived, or None.
    """

    def __init__(self, hangup: bool = False, one_for: float = 0.0) -> None:
        self.received: signal.Signals | None = None
        self._hangup, self._hung_up = hangup, False
        self._one_for, self._since = one_for, 0.0
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> StopRequest:
        if threading.current_thread() is threading.main_thread():
            for kind in (signal.SIGINT, signal.SIGTERM):
                self._before[kind] = signal.signal(kind, self._note)
            if self._hangup and _HANGUP is not None:
                self._before[_HANGUP] = signal.signal(_HANGUP, self._note_hangup)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._restore(*self._before)

    def __bool__(self) -> bool:
        return self.received is not None

    def take_hangup(self) -> bool:
        """Whether SIGHUP arrived since the last call."""
        arrived, self._hung_up = self._hung_up, False
        return arrived

    # The handlers only set flags: taking a lock could wait for the thread that they interrupted.

    def _note(self, number: int, frame: FrameType | None) -> None:
        kind = signal.Signals(number)
        if self.received is None:
            self.received, self._since = kind, time.monotonic()
            # So that the next signal has its default effect.
            if self._one_for:
                self._restore(signal.SIGINT)
            else:
                self._restore(*self._before)
        elif time.monotonic() - self._since >= self._one_for:
            self._restore(kind)
            os.kill(os.getpid(), kind)

    def _note_hangup(self, number: int, frame: FrameType | None) -> None:
        self._hung_up = True

    def _restore(self, *kinds: signal.Signals) -> None:
        for kind in kinds:
            if kind in self._before:
                signal.signal(kind, self._before.pop(kind))
