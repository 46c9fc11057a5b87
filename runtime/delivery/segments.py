"""Segments: the files of a spool, each with a part of the messages, in the order of their numbers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.runtime.delivery.position_file import Position
from dmdd_edge.runtime.delivery.records import count_lines
from dmdd_edge.runtime.durable.lines import cut_torn_tail

_SUFFIX = ".spool"


@dataclass
class Segment:
    """One file.

    Attributes:
        number: larger than that of every earlier segment, removed ones included.
        path: of the file.
        size: length of its whole lines in bytes.
        waiting: number of its messages that have not been delivered.
    """

    number: int
    path: Path
    size: int = 0
    waiting: int = 0


def new_segment(folder: Path, number: int) -> Segment:
    """An empty segment; its file does not exist yet."""
    return Segment(number, folder / f"{number:012d}{_SUFFIX}")


def leftover_segments(folder: Path, delivered: Position) -> list[Segment]:
    """Segments that earlier runs left to be delivered, in order.

    Torn tails are cut off, and segments without waiting messages are removed.

    Args:
        delivered: everything before it has been delivered.

    Raises:
        OSError: a segment cannot be read, cut or removed.
    """
    leftovers: list[Segment] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if not path.stem.isdecimal():
            continue
        segment = Segment(int(path.stem), path)
        if segment.number >= delivered.segment:
            segment.size = cut_torn_tail(path)
            start = delivered.offset if segment.number == delivered.segment else 0
            segment.waiting = count_lines(path, start)
        if segment.waiting:
            leftovers.append(segment)
        else:
            path.unlink()
    return leftovers
