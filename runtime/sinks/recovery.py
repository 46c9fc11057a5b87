"""What an earlier run left in a results file: rotated parts, and a last line that was cut short."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.sinks.file_options import Existing

_BLOCK = 1 << 16


class LineFormat(Protocol):
    """How lines of results are told from others, and read back.

    Attributes:
        header: what each file begins with; may be empty.
        opening: how the first line begins, as far as it is always the same.
    """

    header: bytes
    opening: bytes

    def is_first(self, line: bytes) -> bool:
        """Whether a run wrote this whole line (with its break) at the start of a file."""
        ...

    def read_back(self, source: str) -> str:
        """How a source reads in ``frame_of``."""
        ...

    def frame_of(self, line: bytes) -> tuple[str, str] | None:
        """Source and status of the frame of a line; the status ``error`` of one that could not be read.

        None for a line that is about no frame, or that is damaged.
        """
        ...


def part_path(path: Path, number: int) -> Path:
    """The name of a rotated part: ``results.jsonl`` -> ``results.000001.jsonl``; a larger number is younger.

    A part keeps its name and its suffix: whoever follows it finds it where it was, and a program that opens
    files by their suffix opens it.
    """
    return path.with_name(f"{path.stem}.{number:06d}{path.suffix}")


def find_parts(path: Path) -> list[tuple[int, Path]]:
    """The rotated parts of a file, the oldest first, with their numbers."""
    pattern = re.compile(rf"{re.escape(path.stem)}\.(\d{{6,}}){re.escape(path.suffix)}")
    found = []
    with os.scandir(path.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is not None and entry.is_file(follow_symlinks=False):
                found.append((int(match[1]), path.parent / entry.name))
    return sorted(found)


def settle_existing(descriptor: int, path: Path, form: LineFormat, existing: Existing) -> None:
    """Leave an open results file ready to be appended to.

    A line that was cut short, and zeros that a loss of power left behind it, are cut off.

    Raises:
        DmddError: there are results and ``existing`` is ``refuse``, or it is no results file.
    """
    size = os.fstat(descriptor).st_size
    parts = [part for _, part in find_parts(path)]
    if existing == "refuse":
        if size or parts:
            held = path if size else parts[-1]
            raise DmddError(
                f"{held} holds the results of an earlier run.",
                "Give --resume to go on with it, --overwrite to replace it, or name another file.",
            )
    elif existing == "replace":
        os.ftruncate(descriptor, 0)
        for part in parts:
            with part.open("rb") as stream:
                ours = form.is_first(stream.readline())
            if ours:
                part.unlink()
    elif size:
        whole = _whole_length(descriptor, size)
        beginning = os.pread(descriptor, min(size, 1 << 20), 0)
        if whole:
            ours = form.is_first(beginning.partition(b"\n")[0] + b"\n")
        else:
            torn = beginning.rstrip(b"\0")[: len(form.opening)]
            ours = form.opening.startswith(torn)
        if not ours:
            raise DmddError(f"{path} is no results file of this program.", "Name another file.")
        if whole < size:
            os.ftruncate(descriptor, whole)


def last_line(descriptor: int) -> bytes:
    """The last line of a file that ends with one; empty when there is none."""
    size = os.fstat(descriptor).st_size
    length = _BLOCK
    while True:
        tail = os.pread(descriptor, length, max(0, size - length))
        start = tail.rfind(b"\n", 0, len(tail) - 1) + 1
        if start or length >= size:
            return tail[start:]
        length *= 2


def frames_in(path: Path, form: LineFormat) -> Iterator[tuple[str, str]]:
    """Source and status of each frame that a file has a whole line of."""
    with path.open("rb") as stream:
        for line in stream:
            frame = form.frame_of(line) if line.endswith(b"\n") else None
            if frame is not None:
                yield frame


def _whole_length(descriptor: int, size: int) -> int:
    """How far the whole lines of a file reach."""
    end, at_tail = size, True
    while end > 0:
        start = max(0, end - _BLOCK)
        block = os.pread(descriptor, end - start, start)
        if at_tail:
            block = block.rstrip(b"\0")
            at_tail = not block
        found = block.rfind(b"\n")
        if found >= 0:
            return start + found + 1
        end = start
    return 0
