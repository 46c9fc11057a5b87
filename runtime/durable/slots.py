"""A small record that is changed in place: an old record may come back, never a wrong one."""

from __future__ import annotations

import contextlib
import errno
import os
import struct
import zlib
from pathlib import Path

from dmdd_edge.storage import fsync_path

#: Before the record: its generation. After it: a checksum of both.
_HEAD, _TAIL = struct.Struct("<Q"), struct.Struct("<I")
#: The two slots are in different sectors, so that one torn write cannot damage both.
_SECTOR = 4096


class SlotFile:
    """Two slots for a record of a fixed length; at any moment at least one of them is intact.

    Since it is changed in place, a record can be written to a disk that is full.

    Args:
        path: the file.
        length: of the record in bytes.
        allocate: take the room of both slots from the disk when the file is opened.

    Attributes:
        record: the newest intact one; None without one.
        damaged: a slot holds something else, or cannot be read; until the next ``sync``.
    """

    def __init__(self, path: Path, length: int, allocate: bool = False) -> None:
        self._path, self._allocate, self._created = path, allocate, False
        self._whole = _HEAD.size + length + _TAIL.size
        self._offsets = (0, -(-self._whole // _SECTOR) * _SECTOR)
        self._file: int | None = None
        self._generation, self._slot = 0, 1
        self.record: bytes | None = None
        self.damaged = False
        try:
            self._read()
        except FileNotFoundError:
            pass
        except OSError:
            self.damaged = True

    def _read(self) -> None:
        with self._path.open("rb") as file:
            parts = [os.pread(file.fileno(), self._whole, offset) for offset in self._offsets]
        for slot, part in enumerate(parts):
            if not any(part):
                continue  # it was never written
            body, tail = part[: -_TAIL.size], part[-_TAIL.size :]
            if len(part) < self._whole or (zlib.crc32(body),) != _TAIL.unpack(tail):
                self.damaged = True
                continue
            [generation] = _HEAD.unpack_from(body)
            if generation > self._generation:
                self._generation, self._slot = generation, slot
                self.record = body[_HEAD.size :]

    def open(self) -> None:
        """Open it for writing; it is created if missing.

        Raises:
            OSError: that is refused.
        """
        if self._file is not None:
            return
        self._created = not self._path.exists()
        self._file = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        if self._allocate:
            with contextlib.suppress(OSError):  # some file systems cannot, and a full disk shows at the write
                os.posix_fallocate(self._file, 0, 2 * self._offsets[1])

    def write(self, record: bytes, over: bool = False) -> None:
        """Write a record into the slot that holds the older one.

        A killed process leaves all of it or the record before; a power cut may leave the record before until
        ``sync``.

        Args:
            record: of the file's length.
            over: into the slot of the newest record instead: while that was not synced, the other slot is
                what a power cut leaves.

        Raises:
            OSError: the disk rejects it; the record before stays.
        """
        self.open()
        assert self._file is not None
        slot = self._slot if over else 1 - self._slot
        part = _HEAD.pack(self._generation + 1) + record
        part += _TAIL.pack(zlib.crc32(part))
        if os.pwrite(self._file, part, self._offsets[slot]) < len(part):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._generation, self._slot, self.record = self._generation + 1, slot, record

    def sync(self) -> None:
        """Wait until what was written is on the disk.

        Raises:
            OSError: the disk rejects it.
        """
        if self._file is None or self.record is None:
            return
        os.fsync(self._file)
        if self.damaged:
            # Whatever the other slot holds, it must not look newer at the next start.
            self.write(self.record)
            os.fsync(self._file)
            self.damaged = False
        if self._created:
            fsync_path(self._path.parent)
            self._created = False

    def close(self) -> None:
        """Close the file; may be called twice."""
        if self._file is not None:
            os.close(self._file)
            self._file = None
