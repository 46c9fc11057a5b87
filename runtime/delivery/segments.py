"""The files of a spool: each holds some of the messages, in the order of their numbers."""

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
        number: larger than that of every segment before it, also of those that are gone.
        path: where it lies.
        size: bytes of whole lines in it.
        waiting: messages in it that have not been delivered.
    """

    number: int
    path: Path
    size: int = 0
    waiting: int = 0


def new_segment(folder: Path, number: int) -> Segment:
    """An empty segment, whose file is still to be made."""
    return Segment(number, folder / f"{number:012d}{_SUFFIX}")


def leftover_segments(folder: Path, delivered: Position) -> list[Segment]:
    """What earlier runs left to be delivered, in order.

    A torn tail is cut off, and a segment without a waiting message is removed.

    Args:
        delivered: everything before it has been delivered.

    Raises:
        OSError: a segment cannot be read, cut or removed.
    """
    found: list[Segment] = []
    for path in sorted(folder.glob(f"*{_SUFFIX}")):
        if not path.stem.isdecimal():
            continue
        segment = Segment(int(path.stem), path)
        if segment.number >= delivered.segment:
            segment.size = cut_torn_tail(path)
            start = delivered.offset if segment.number == delivered.segment else 0
            segment.waiting = count_lines(path, start)
        if segment.waiting:
            found.append(segment)
        else:
            path.unlink()
    return found
