"""Format of a message on the disk: one line, with a checksum that tells whether it is intact.

``<crc32, 8 hex digits> <id> <body>\\n``; the checksum covers everything between it and the line break.
JSON has no line breaks, so damage costs the lines that it touches and no others.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Record:
    """A line that was read.

    Attributes:
        end: offset of the next line in the file.
        id: of the message; empty if the line is damaged.
        body: the message, UTF-8 JSON.
    """

    end: int
    id: str
    body: bytes


def encode_record(id: str, body: bytes) -> bytes:
    """The line of a message.

    Args:
        id: ASCII without spaces.
        body: without line breaks.

    Raises:
        ValueError: the id or the body would break the line format.
    """
    if not id or any(space in id for space in " \n") or b"\n" in body:
        raise ValueError(f"Message {id!r} does not fit on a line.")
    content = b"%s %s" % (id.encode("ascii"), body)
    return b"%08x %s\n" % (zlib.crc32(content), content)


def decode_record(line: bytes) -> tuple[str, bytes] | None:
    """Id and body of a line, or None if it is torn or damaged."""
    checksum, content = line[:8], line[9:-1]
    if line[8:9] != b" " or line[-1:] != b"\n" or checksum != b"%08x" % zlib.crc32(content):
        return None
    id, space, body = content.partition(b" ")
    if not id or not space or not id.isascii():
        return None
    return id.decode("ascii"), body


def read_records(path: Path, start: int, end: int, count: int, most_bytes: int = 1 << 20) -> list[Record]:
    """Up to ``count`` lines of a file, beginning at ``start``.

    Args:
        start: offset of the first line.
        end: offset after the last line that may be read.
        count: largest number of lines.
        most_bytes: no further line is read after this number of bytes.

    Raises:
        OSError: the file cannot be read.
    """
    return list(_records(path, start, end, count, most_bytes))


def _records(path: Path, start: int, end: int, count: int, most_bytes: int) -> Iterator[Record]:
    offset = start
    with path.open("rb") as stream:
        stream.seek(start)
        for _ in range(count):
            if offset - start >= most_bytes:
                return
            line = stream.readline(max(0, end - offset))
            if not line:
                return
            offset += len(line)
            yield Record(offset, *(decode_record(line) or ("", b"")))


def count_lines(path: Path, start: int = 0) -> int:
    """Number of whole lines in a file, from an offset to its end."""
    count = 0
    with path.open("rb") as stream:
        stream.seek(start)
        while block := stream.read(1 << 20):
            count += block.count(b"\n")
    return count
