"""Read the parts of a multipart response, as cameras send MJPEG."""

from __future__ import annotations

import time
from typing import Protocol


class NoImageError(Exception):
    """Data arrived for as long as an image may take, but no image; the text describes the data."""


#: Most bytes that are handled as one line: image data have no lines.
_LONGEST = 1 << 16


class _Body(Protocol):
    def read1(self, amount: int = -1, /) -> bytes: ...


class PartReader:
    """Reads images one by one; parts of another kind, such as text or sound, are skipped.

    Args:
        response: the body, from its beginning.
        boundary: the separator of two parts, from the header, with or without its dashes; None if the
            header lacks it: then the first line that begins with two dashes is used.
        limit: most bytes of a part; a larger one is not a camera image.
        patience: seconds after which data without an image are an error.
    """

    def __init__(
        self, response: _Body, boundary: str | None, limit: int, patience: float = float("inf")
    ) -> None:
        self._response, self._limit, self._patience = response, limit, patience
        self._buffer = bytearray()  # received but not parsed yet
        self._declared = boundary or ""
        self._marks: tuple[bytes, ...] = ()
        if boundary:
            self._set_mark(_encoded(boundary))
        self._at_part = False
        self._trust_lengths = True
        self._after_length = False  # the last part was read by its length
        self._deadline = float("inf")
        self._bytes = 0
        self._seen = ""  # what arrived instead of an image

    def read(self) -> bytes:
        """Read the bytes of the next image.

        Raises:
            OSError: the connection was lost or ended.
            NoImageError: only other data arrived.
            ValueError: the data are not a series of parts.
        """
        self._deadline, self._bytes = time.monotonic() + self._patience, 0
        while True:
            self._find_part()
            kind, length = self._head()
            by_mark = length is None or not self._trust_lengths
            data = self._until_mark() if by_mark else self._exactly(length or 0)
            if kind and not kind.startswith(("image/", "application/octet-stream")):
                self._seen = f"parts of {kind}"
            elif data:
                return data

    def _set_mark(self, mark: bytes) -> None:
        # Some cameras repeat the mark's dashes in the header, or omit them in the body.
        self._marks = (b"--" + mark, mark)

    def _find_part(self) -> None:
        skipped = 0
        while not self._at_part:
            line = self._line()
            if self._after_length and line.strip() and not self._is_mark(line):
                # The part is longer than its header states. From now on the mark ends a part.
                self._trust_lengths = False
            self._after_length = False
            if not self._marks and line.startswith(b"--") and len(line.strip()) > 2:
                self._set_mark(line.strip()[2:])
            self._at_part = self._is_mark(line)
            if not self._at_part and line.startswith(b"--"):
                other = line.strip().decode("latin-1")[:80]
                self._seen = f"its parts begin with {other!r}, but its header declares {self._declared!r}"
            skipped += len(line)
            if skipped > self._limit:
                raise ValueError("images without a separator")
        self._at_part = False

    def _head(self) -> tuple[str, int | None]:
        """Read a part's header: type (empty if not declared) and number of bytes (None likewise)."""
        kind, length = "", None
        while (line := self._line().strip()) != b"":
            name, _, value = line.partition(b":")
            if name.strip().lower() == b"content-type":
                kind = value.partition(b";")[0].strip().lower().decode("latin-1")[:80]
            elif name.strip().lower() == b"content-length" and value.strip().isdigit():
                length = int(value[:20])
        if length is not None and length > self._limit:
            raise ValueError(f"an image of {length} bytes")
        return kind, length

    def _exactly(self, length: int) -> bytes:
        """Read a part by its length. What follows is parsed with the next part, to avoid waiting for it."""
        data = self._buffer[:length]
        del self._buffer[:length]
        while len(data) < length:
            piece = self._some(length - len(data))
            if not piece:
                raise ConnectionError("the server ended the stream")
            data += piece
        self._after_length = True
        for mark in self._dashed():
            inside = data.find(b"\n" + mark)
            if inside >= 0:  # the length was too large; the next part is lost
                self._trust_lengths = False
                return bytes(data[:inside]).removesuffix(b"\r")
        return bytes(data)

    def _dashed(self) -> list[bytes]:
        """The marks that cannot be mistaken for image data."""
        return [mark for mark in self._marks if mark.startswith(b"--")]

    def _until_mark(self) -> bytes:
        pieces: list[bytes] = []
        size = 0
        while not self._is_mark(line := self._line()):
            glued = next((mark for mark in self._dashed() if line.rstrip().endswith(mark)), None)
            if glued is not None:  # no line break before the mark
                pieces.append(line[: line.rindex(glued)])
                break
            pieces.append(line)
            size += len(line)
            if size > self._limit:
                raise ValueError(f"an image of more than {self._limit} bytes")
        self._at_part = True
        data = b"".join(pieces)
        # The line break before the mark belongs to the mark.
        return data[:-2] if data.endswith(b"\r\n") else data.removesuffix(b"\n")

    def _is_mark(self, line: bytes) -> bool:
        bare = line.rstrip()
        return bare in self._marks or (bare.endswith(b"--") and bare[:-2] in self._dashed())

    def _line(self) -> bytes:
        # Not by the response's own readline, which waits for the end of a line as long as bytes arrive.
        searched = 0
        while (end := self._buffer.find(b"\n", searched)) < 0 and len(self._buffer) < _LONGEST:
            searched = len(self._buffer)
            piece = self._some(_LONGEST)
            if not piece:
                break
            self._buffer += piece
        if not self._buffer:
            raise ConnectionError("the server ended the stream")
        length = min(end + 1 or _LONGEST, _LONGEST)
        line = bytes(self._buffer[:length])
        del self._buffer[:length]
        self._count(0)
        return line

    def _some(self, most: int) -> bytes:
        """The available bytes, as soon as there are any; empty at the end."""
        piece = self._response.read1(most)
        self._count(len(piece))
        return piece

    def _count(self, size: int) -> None:
        self._bytes += size
        if time.monotonic() > self._deadline:
            seen = f": {self._seen}" if self._seen else ""
            raise NoImageError(f"{self._bytes} bytes in {self._patience:g} s{seen}")


def _encoded(boundary: str) -> bytes:
    """A boundary as it is in the body: header values are latin-1, unless they were decoded."""
    try:
        return boundary.encode("latin-1")
    except UnicodeEncodeError:
        return boundary.encode("utf-8", "surrogateescape")
