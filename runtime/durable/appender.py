"""Append to a file: each piece wholly or not at all."""

from __future__ import annotations

import os
import stat


class Appender:
    """Appends to an open file and rolls back what the disk took only in part.

    A piece is handed to the kernel in one call, so a kill leaves all of it or nothing. On a full disk the
    kernel may take a part; that part is cut off again. A device, which cannot be cut, is only written to.

    Args:
        descriptor: open for appending (``O_APPEND``); the caller closes it.

    Attributes:
        descriptor: see above.
        size: length of the file in bytes, up to the last whole piece.
        torn: a part could not be cut off; the next ``append`` tries again before it writes.
    """

    def __init__(self, descriptor: int) -> None:
        status = os.fstat(descriptor)
        self._regular = stat.S_ISREG(status.st_mode)
        self.descriptor = descriptor
        self.size = status.st_size
        self.torn = False

    def append(self, piece: bytes) -> None:
        """Append a piece.

        Raises:
            OSError: the disk rejects it; the file is as before, or ``torn``.
        """
        if self.torn:
            self.cut(self.size)
        rest = memoryview(piece)
        try:
            while rest:  # after a short write the next call says what is wrong
                rest = rest[os.write(self.descriptor, rest) :]
        except OSError:
            if len(rest) < len(piece):
                self._roll_back()
            raise
        self.size += len(piece)

    def cut(self, size: int) -> None:
        """Shorten the file.

        Raises:
            OSError: the disk rejects that.
        """
        if self._regular:
            os.ftruncate(self.descriptor, size)
        self.size, self.torn = size, False

    def _roll_back(self) -> None:
        try:
            self.cut(self.size)
        except OSError:
            self.torn = True
