"""Recovery of an existing results file: its rotated parts, its torn last line, the frames that it has."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.durable.appender import Appender
from dmdd_edge.runtime.durable.lines import whole_length
from dmdd_edge.runtime.sinks.file_options import Existing

_BLOCK = 1 << 16


class LineFormat(Protocol):
    """Format of result lines: how to recognize and read them.

    Attributes:
        header: first line of each file; may be empty.
        opening: the constant beginning of the first line.
    """

    header: bytes
    opening: bytes

    def is_first(self, line: bytes) -> bool:
        """Whether a run wrote this whole line (with its break) at the start of a file."""
        ...

    def read_back(self, source: str) -> str:
        """A source as ``frame_of`` returns it."""
        ...

    def frame_of(self, line: bytes) -> tuple[str, str] | None:
        """Source and status of the frame of a line; the status is ``error`` if it could not be read.

        None for a line that is not about a frame, or that is damaged.
        """
        ...


def part_path(path: Path, number: int) -> Path:
    """Name of a rotated part: ``results.jsonl`` -> ``results.000001.jsonl``; a larger number is newer.

    A part is never renamed and keeps its suffix, so programs that follow it or open files by suffix find it.
    """
    return path.with_name(f"{path.stem}.{number:06d}{path.suffix}")


def find_parts(path: Path) -> list[tuple[int, Path]]:
    """Rotated parts of a file with their numbers, oldest first."""
    pattern = re.compile(rf"{re.escape(path.stem)}\.(\d{{6,}}){re.escape(path.suffix)}")
    parts = []
    with os.scandir(path.parent) as entries:
        for entry in entries:
            match = pattern.fullmatch(entry.name)
            if match is not None and entry.is_file(follow_symlinks=False):
                parts.append((int(match[1]), path.parent / entry.name))
    return sorted(parts)


def settle_existing(file: Appender, path: Path, form: LineFormat, existing: Existing) -> None:
    """Prepare an open results file for appending.

    A torn last line, and zeros that a power cut left after it, are cut off.

    Raises:
        DmddError: there are results and ``existing`` is ``refuse``, or it is not a results file.
    """
    parts = [part for _, part in find_parts(path)]
    if existing == "refuse":
        if file.size or parts:
            raise OptionError(
                f"{path if file.size else parts[-1]} holds the results of an earlier run.",
                "Add --resume to continue it or --overwrite to replace it, or name another file.",
            )
    elif existing == "replace":
        file.cut(0)
        for part in parts:
            with part.open("rb") as stream:
                ours = form.is_first(stream.readline())
            if ours:
                part.unlink()
    elif file.size:
        whole = whole_length(file.descriptor)
        beginning = os.pread(file.descriptor, min(file.size, 1 << 20), 0)
        if whole:
            ours = form.is_first(beginning.partition(b"\n")[0] + b"\n")
        else:
            torn = beginning.rstrip(b"\0")[: len(form.opening)]
            ours = form.opening.startswith(torn)
        if not ours:
            raise OptionError(f"{path} is not a results file of this program.", "Name another file.")
        if whole < file.size:
            file.cut(whole)


def last_line(descriptor: int) -> bytes:
    """Last line of a file that ends with a line break; empty for an empty file."""
    size = os.fstat(descriptor).st_size
    length = _BLOCK
    while True:
        tail = os.pread(descriptor, length, max(0, size - length))
        start = tail.rfind(b"\n", 0, len(tail) - 1) + 1
        if start or length >= size:
            return tail[start:]
        length *= 2


def frames_in(path: Path, form: LineFormat) -> Iterator[tuple[str, str]]:
    """Source and status of each frame that has a whole line in a file."""
    with path.open("rb") as stream:
        for line in stream:
            frame = form.frame_of(line) if line.endswith(b"\n") else None
            if frame is not None:
                yield frame
