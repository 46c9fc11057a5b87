"""Delivered position of a spool, stored on the disk."""

from __future__ import annotations

import contextlib
import struct
from pathlib import Path
from typing import NamedTuple

from dmdd_edge.runtime.durable.slots import SlotFile

#: Segment, offset.
_RECORD = struct.Struct("<QQ")


class Position(NamedTuple):
    """A position between two messages: everything before it has been delivered.

    Attributes:
        segment: a segment's number.
        offset: in bytes from its start.
    """

    segment: int
    offset: int


class PositionFile:
    """The position in two slots, written in turn.

    It is never synced. After a power cut the position may be older or missing; then messages are delivered
    again, which at-least-once delivery allows.

    Args:
        path: the file; created if missing.

    Raises:
        OSError: it cannot be opened or created.
    """

    def __init__(self, path: Path) -> None:
        self._slots = SlotFile(path, _RECORD.size)
        self._slots.open()
        record = self._slots.record
        self.position = Position(0, 0) if record is None else Position(*_RECORD.unpack(record))

    def write(self, position: Position) -> None:
        """Store a new position; if that fails, messages may be sent again, nothing else."""
        self.position = position
        with contextlib.suppress(OSError):  # the other slot stays as it is, with the position before
            self._slots.write(_RECORD.pack(*position))

    def close(self) -> None:
        """Close the file."""
        self._slots.close()
