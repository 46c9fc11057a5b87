"""The keys of ``collect`` on a terminal: take an image, undo, end."""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import threading
import tty
from types import TracebackType
from typing import TYPE_CHECKING, Any

from dmdd_edge.cli.console import console

if TYPE_CHECKING:
    from dmdd_edge.runtime.collect.collect import OpenCollection

#: Seconds between two looks at whether it is over.
_POLL = 0.1
_TAKE, _UNDO, _END = (b" ", b"\n", b"\r"), (b"u", b"U"), (b"q", b"Q")


class Keys:
    """Reads single keys inside a ``with`` block; the terminal is as before after it.

    Args:
        collection: what the keys act on.
        descriptor: of the terminal.

    Attributes:
        ended: whether somebody wants an end.
        help: what the keys do.
    """

    def __init__(self, collection: OpenCollection, descriptor: int | None = None) -> None:
        self._collection = collection
        self._descriptor = sys.stdin.fileno() if descriptor is None else descriptor
        self._over = threading.Event()
        self._before: list[Any] | None = None
        self.ended = False
        take = "space or Enter takes an image, " if collection.way == "key" else ""
        self.help = f"{take}u removes the last one, q ends"

    def __enter__(self) -> Keys:
        with contextlib.suppress(termios.error):
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor)
        self._thread = threading.Thread(target=self._read, name="collect-keys", daemon=True)
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._over.set()
        self._thread.join()
        if self._before is not None:
            termios.tcsetattr(self._descriptor, termios.TCSADRAIN, self._before)

    def _read(self) -> None:
        while not self._over.is_set() and not self.ended:
            ready, _, _ = select.select([self._descriptor], [], [], _POLL)
            if not ready:
                continue
            key = os.read(self._descriptor, 1)
            if not key:
                return
            self._act(key)

    def _act(self, key: bytes) -> None:
        if key in _TAKE and self._collection.wish is not None:
            self._collection.wish.ask()
        elif key in _UNDO:
            number = self._collection.collector.undo()
            console.print("nothing to remove" if number is None else f"removed {number:06d}.png")
        elif key in _END:
            self.ended = True
