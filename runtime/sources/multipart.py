"""The parts of a multipart answer, as cameras send MJPEG."""

from __future__ import annotations

from typing import Protocol


class _Lines(Protocol):
    def readline(self, limit: int = -1, /) -> bytes: ...

    def read(self, amount: int = -1, /) -> bytes: ...


class PartReader:
    """Reads one part after the other.

    Args:
        answer: the body, from its beginning.
        boundary: what stands between two parts, as the head says it.
        limit: bytes that a part may have; what has more is no picture of a camera.
    """

    def __init__(self, answer: _Lines, boundary: str, limit: int) -> None:
        self._answer, self._limit = answer, limit
        mark = boundary.encode("latin-1")
        # Some cameras write the dashes that belong to the mark into the head as well.
        self._marks = (b"--" + mark, mark) if mark.startswith(b"--") else (b"--" + mark,)
        self._at_part = False

    def read(self) -> bytes:
        """The bytes of the next part.

        Raises:
            OSError: the connection broke or ended.
            ValueError: what comes is no row of parts.
        """
        skipped = 0
        while not self._at_part:
            line = self._line()
            self._at_part = self._is_mark(line)
            skipped += len(line)
            if skipped > self._limit:
                raise ValueError("pictures without a mark between them")
        self._at_part = False
        length = self._head()
        return self._until_mark() if length is None else self._exactly(length)

    def _head(self) -> int | None:
        """Read a part's head: how many bytes follow, None when it does not say."""
        length = None
        while (line := self._line().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-length":
                length = int(value)
        if length is not None and not 0 <= length <= self._limit:
            raise ValueError(f"a picture of {length} bytes")
        return length

    def _exactly(self, length: int) -> bytes:
        data = self._answer.read(length)
        if len(data) < length:
            raise ConnectionError("the server ended the stream")
        return data

    def _until_mark(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while not self._is_mark(line := self._line()):
            pieces.append(line)
            size += len(line)
            if size > self._limit:
                raise ValueError(f"a picture of more than {self._limit} bytes")
        self._at_part = True
        data = b"".join(pieces)
        # The line break before the mark belongs to the mark.
        return data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")

    def _is_mark(self, line: bytes) -> bool:
        return line.startswith(self._marks)

    def _line(self) -> bytes:
        line = self._answer.readline(1 << 16)
        if not line:
            raise ConnectionError("the server ended the stream")
        return line
