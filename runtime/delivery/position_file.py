"""Delivered position of a spool, stored on the disk."""

from __future__ import annotations

import os
import struct
import zlib
from pathlib import Path
from typing import NamedTuple

#: Generation, segment, offset, checksum of the three.
_SLOT = struct.Struct("<QQQI")
#: The two slots are in different sectors, so that one torn write cannot damage both.
_SLOT_OFFSETS = (0, 4096)


class Position(NamedTuple):
    """A position between two messages: everything before it has been delivered.

    Attributes:
        segment: a segment's number.
        offset: in bytes from its start.
    """

    segment: int
    offset: int


class PositionFile:
    """Two slots, written in turn: at any moment at least one of them is intact.

    It is never synced. After a power cut the position may be older or missing; then messages are delivered
    again, which at-least-once delivery allows.

    Args:
        path: the file; created if missing.

    Raises:
        OSError: it cannot be opened or created.
    """

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        self._generation, self.position = 0, Position(0, 0)
        for slot_offset in _SLOT_OFFSETS:
            slot = os.pread(self._file, _SLOT.size, slot_offset)
            if len(slot) < _SLOT.size:
                continue
            generation, segment, offset, checksum = _SLOT.unpack(slot)
            if checksum == _checksum(generation, segment, offset) and generation > self._generation:
                self._generation, self.position = generation, Position(segment, offset)

    def write(self, position: Position) -> None:
        """Store a new position; if that fails, messages may be sent again, nothing else."""
        self._generation += 1
        self.position = position
        slot = _SLOT.pack(self._generation, *position, _checksum(self._generation, *position))
        try:
            os.pwrite(self._file, slot, _SLOT_OFFSETS[self._generation % 2])
        except OSError:
            self._generation -= 1  # the other slot stays as it is, with the position before

    def close(self) -> None:
        """Close the file."""
        os.close(self._file)


def _checksum(generation: int, segment: int, offset: int) -> int:
    return zlib.crc32(struct.pack("<QQQ", generation, segment, offset))
