"""A bound on disk use: the oldest of the files that the run itself wrote go first."""

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
    """Keeps all that a run writes below a size; one for all the sinks of a run.

    Each sink enters what it finished into the ledger of its folder, and asks for room before it writes more.
    A ledger lists this and earlier runs' files with their size and time, so a file that somebody else put
    there, or changed since, is never deleted; nor is a file in use.

    Args:
        limit: bytes.
        note: told, once, when files in use alone are above the limit.
    """

    def __init__(
        self, limit: int, note: Callable[[str], None] = logging.getLogger("dmdd_edge").warning
    ) -> None:
        self.limit = limit
        self._note = note
        self._ledgers: dict[Path, Ledger] = {}
        self._in_use: list[Callable[[], int]] = []
        self._said = False

    def ledger(self, folder: Path, name: str = LEDGER_NAME) -> Ledger:
        """The ledger of a folder, which must exist; the same one for all sinks that ask for the same.

        Raises:
            DmddError: another run has it.
        """
        resolved = folder.resolve()
        if resolved / name not in self._ledgers:
            self._ledgers[resolved / name] = Ledger(resolved, name)
        return self._ledgers[resolved / name]

    def count_in_use(self, size: Callable[[], int]) -> None:
        """Count a file that is being written: its size in bytes is asked for when it matters."""
        self._in_use.append(size)

    @property
    def used(self) -> int:
        """Bytes on disk: all files entered, those in use, and the ledgers themselves."""
        return sum(ledger.used for ledger in self._ledgers.values()) + sum(size() for size in self._in_use)

    def make_room(self, size: int, name: str) -> None:
        """Delete the oldest files until ``size`` more bytes, and the entry of ``name``, fit in."""
        size += len(os.fsencode(name)) + ENTRY_SIZE
        while self.used + size > self.limit:
            found = [(entry.time, ledger) for ledger in self._ledgers.values() if (entry := ledger.oldest())]
            if not found:
                if not self._said:
                    self._said = True
                    self._note(f"the files in use alone are larger than --keep {size_text(self.limit)}.")
                return
            min(found, key=lambda pair: pair[0])[1].delete_oldest()

    def close(self) -> None:
        """Close the ledgers; another run may have them then."""
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
