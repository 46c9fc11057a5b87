"""A board to which all nodes write what happens, and on which the command writes that it ends.

It is an actor on the node of the command: Ray gives each call to it one after the other.
"""

from __future__ import annotations

from typing import Any


class Board:
    """Notes from everywhere, in their order."""

    def __init__(self) -> None:
        self._notes: list[tuple[str, Any]] = []
        self._stopping = False

    def post(self, sender: str, note: Any) -> bool:
        """Write a note; returns whether the command ends."""
        self._notes.append((sender, note))
        return self._stopping

    def begin(self, sender: str, note: Any) -> bool:
        """Write that a sender begins, unless the command ends: then nothing is written, and it must not."""
        if self._stopping:
            return False
        self._notes.append((sender, note))
        return True

    def take(self) -> list[tuple[str, Any]]:
        """The notes since the last call, each with its sender."""
        notes, self._notes = self._notes, []
        return notes

    def stop(self) -> None:
        """Write that the command ends."""
        self._stopping = True

    def stopping(self) -> bool:
        """Whether the command ends."""
        return self._stopping
