"""Disk quota: the oldest of the files that runs wrote are deleted first."""

from __future__ import annotations

import contextlib
import logging
import os
from collections.abc import Callable
from pathlib import Path
from types import TracebackType

from dmdd_edge.runtime.options.sizes import size_text
from dmdd_edge.runtime.sinks.ledger import ENTRY_SIZE, LEDGER_NAME, Ledger


class DiskQuota:
    """Limits the size of everything that a run writes; one for all the sinks of a run.

    Each sink enters finished files into the ledger of its folder, and makes room before it writes more. A
    ledger lists the files of this and earlier runs with their size and time, so a file that somebody else put
    there, or changed since, is never deleted; neither is a file in use.

    Args:
        limit: in bytes.
        note: receives a message, once, if the files in use alone exceed the limit.
    """

    def __init__(
        self, limit: int, note: Callable[[str], None] = logging.getLogger("dmdd_edge").warning
    ) -> None:
        self.limit = limit
        self._note = note
        self._ledgers: dict[Path, Ledger] = {}
        self._in_use: list[Callable[[], int]] = []
        self._noted = False

    def ledger(self, folder: Path, name: str = LEDGER_NAME) -> Ledger:
        """The ledger of a folder, which must exist; the same object for all sinks of that folder.

        Raises:
            DmddError: another run has it.
        """
        resolved = folder.resolve()
        if resolved / name not in self._ledgers:
            self._ledgers[resolved / name] = Ledger(resolved, name)
        return self._ledgers[resolved / name]

    def count_in_use(self, size: Callable[[], int]) -> None:
        """Count a file that is being written; ``size`` returns its current size in bytes."""
        self._in_use.append(size)

    @property
    def used(self) -> int:
        """Size on the disk in bytes: entered files, files in use, and the ledgers themselves."""
        return sum(ledger.used for ledger in self._ledgers.values()) + sum(size() for size in self._in_use)

    def make_room(self, size: int, name: str) -> None:
        """Delete the oldest files until ``size`` more bytes and the entry of ``name`` fit."""
        size += len(os.fsencode(name)) + ENTRY_SIZE
        while self.used + size > self.limit:
            oldest = [(entry.time, ledger) for ledger in self._ledgers.values() if (entry := ledger.oldest())]
            if not oldest:
                if not self._noted:
                    self._noted = True
                    self._note(f"The files in use alone exceed --keep {size_text(self.limit)}.")
                return
            min(oldest, key=lambda pair: pair[0])[1].delete_oldest()

    def close(self) -> None:
        """Close the ledgers; another run can use them then."""
        for ledger in self._ledgers.values():
            with contextlib.suppress(OSError):
                ledger.close()
        self._ledgers.clear()

    def __enter__(self) -> DiskQuota:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
