"""The folder of results: part files by the numbers of their images, the list of images, what decided.

part-000000000-000001999.parquet    rows of the images 0 to 1999 of the list
_images.jsonl                       the list: a name on each line, as JSON
_judge.json                         where the images are, and what decided; written after the list

Names that begin with ``_`` are skipped by what reads a folder of Parquet files. A part appears whole, and one
process writes all of them, so that each image has one row whatever is killed when.
"""

from __future__ import annotations

import json
import os
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

from dmdd_edge.errors import DataError, OptionError
from dmdd_edge.failures import storage_errors
from dmdd_edge.runtime.bulk.rows import STATUSES, read_part
from dmdd_edge.runtime.bulk.shard import Shard
from dmdd_edge.storage import fsync_path, make_folder, write_atomically

LIST_NAME = "_images.jsonl"
RECORD_NAME = "_judge.json"
_PART = re.compile(r"part-(\d{9})-(\d{9})\.parquet")
#: Most images of a shard; of a short list fewer, so that every process has several.
_SHARD = 2000
_SMALLEST_SHARD, _SHARES = 16, 4

Record = dict[str, Any]
#: The first image and the one behind the last.
Range = tuple[int, int]


class ResultFolder:
    """A folder of results; one process at a time writes it.

    Args:
        path: of the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    def prepare(self, resume: bool, overwrite: bool) -> Record | None:
        """Make the folder, or see what is in it.

        Args:
            resume: results that are there are continued.
            overwrite: results that are there are removed.

        Returns:
            The record of the results that are continued; None for a new beginning.

        Raises:
            OptionError: there are results, and neither is wanted; or the folder has other files.
            StorageError: it cannot be written.
        """
        make_folder(self.path)
        with storage_errors(self.path, "read"):
            names = os.listdir(self.path)  # noqa: PTH208 - names, for speed
        foreign = [name for name in names if not name.startswith((".", "_")) and not _PART.fullmatch(name)]
        if foreign:
            raise OptionError(
                f"{self.path} has other files, such as {foreign[0]}.", "Name another folder: --into DIR."
            )
        record = self._record() if RECORD_NAME in names else None
        if record is not None and resume:
            return record
        if record is not None and not overwrite:
            done = sum(end - first for first, end in self.done())
            raise OptionError(
                f"{self.path} has the results of {done:,} of {record['images']:,} images.",
                "Continue with --resume, replace them with --overwrite, or name another folder.",
            )
        self._remove([name for name in names if _PART.fullmatch(name)])
        return None

    def write_list(self, names: Iterable[str]) -> int:
        """Write the list of images; returns how many there are."""
        count = 0
        path = self.path / LIST_NAME
        part = path.with_suffix(".part")
        with storage_errors(path, "written"):
            with part.open("w", encoding="ascii") as stream:
                for name in names:
                    stream.write(json.dumps(name) + "\n")
                    count += 1
            fsync_path(part)
            part.replace(path)
        return count

    def write_record(self, record: Record) -> None:
        """Write what decided; from now on there are results to be continued."""
        write_atomically(self.path / RECORD_NAME, json.dumps(record, indent=1) + "\n")

    def write_part(self, first: int, images: int, data: bytes) -> None:
        """Write the rows of some images."""
        write_atomically(self.path / f"part-{first:09d}-{first + images - 1:09d}.parquet", data)

    def done(self) -> list[Range]:
        """The images that have rows, in order.

        Raises:
            DataError: an image is in two files.
        """
        with storage_errors(self.path, "read"):
            found = map(_PART.fullmatch, os.listdir(self.path))  # noqa: PTH208
            ranges = sorted((int(match[1]), int(match[2]) + 1) for match in found if match)
        for before, after in pairwise(ranges):
            if after[0] < before[1]:
                raise DataError(
                    f"Image {after[0]} is in two files of {self.path}.",
                    "Remove one of them and continue with --resume, or begin again with --overwrite.",
                )
        return ranges

    def missing(self, images: int, jobs: int) -> Iterator[Shard]:
        """The images without rows, as shards, read from the list one after the other.

        Args:
            images: how many are in the list.
            jobs: how many processes share them.
        """
        done = self.done()
        left = images - sum(end - first for first, end in done)
        size = min(_SHARD, max(_SMALLEST_SHARD, -(-left // (_SHARES * jobs))))
        gaps = gaps_of(done, images)
        gap = next(gaps, None)
        names: list[str] = []
        with storage_errors(self.path / LIST_NAME, "read"):
            stream = (self.path / LIST_NAME).open(encoding="ascii")
        with stream:
            for index, line in enumerate(stream):
                if gap is None:
                    return
                if index < gap[0]:
                    continue
                names.append(json.loads(line))
                at_end = index + 1 == gap[1]
                if len(names) == size or at_end:
                    yield Shard(index + 1 - len(names), names)
                    names = []
                if at_end:
                    gap = next(gaps, None)

    def counts(self) -> tuple[dict[str, int], int]:
        """How many rows of each status all files have, and how many files there are.

        Raises:
            DmddError: a file is damaged, or does not have the rows that its name says.
        """
        total: Counter[str] = Counter()
        ranges = self.done()
        for first, end in ranges:
            path = self.path / f"part-{first:09d}-{end - 1:09d}.parquet"
            part = read_part(path)
            if part.rows != end - first:
                raise DataError(
                    f"{path} has {part.rows:,} rows instead of {end - first:,}.",
                    "Remove it and continue with --resume.",
                )
            total.update(part.counts)
        return {status: total[status] for status in STATUSES}, len(ranges)

    def _record(self) -> Record:
        path = self.path / RECORD_NAME
        try:
            with storage_errors(path, "read"):
                record: Record = json.loads(path.read_text(encoding="utf-8"))
            if record["format"] != 1:
                raise ValueError(record["format"])
            int(record["images"]), record["source"], record["decided_by"]
        except (ValueError, KeyError, TypeError) as error:
            raise DataError(
                f"{path} is damaged, or of another release.", "Name another folder: --into DIR."
            ) from error
        return record

    def _remove(self, parts: list[str]) -> None:
        with storage_errors(self.path, "removed"):
            # Without the record, what remains after a kill counts for nothing.
            (self.path / RECORD_NAME).unlink(missing_ok=True)
            for name in parts:
                (self.path / name).unlink()


def gaps_of(ranges: Iterable[Range], end: int) -> Iterator[Range]:
    """What is missing between sorted ranges that do not overlap, up to ``end``.

    >>> list(gaps_of([(2, 4), (4, 5), (8, 9)], 10))
    [(0, 2), (5, 8), (9, 10)]
    """
    at = 0
    for first, behind in ranges:
        if first > at:
            yield at, first
        at = behind
    if at < end:
        yield at, end
