"""An archive on the disk: its places, and what it holds."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.images import read_image
from dmdd_edge.errors import DataError
from dmdd_edge.failures import storage_errors
from dmdd_edge.outside_files import inside, read_bounded, read_lines
from dmdd_edge.runtime.archive.counts import Counts
from dmdd_edge.runtime.archive.feedback import FeedbackFile
from dmdd_edge.runtime.archive.record import LARGEST_RECORD, Record, is_id, read_record
from dmdd_edge.storage import make_folder, write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: Says that a folder is an archive.
MARK = "archive.json"
SCHEMA_VERSION = 1


class ArchiveFolder:
    """An archive that exists; see the package.

    Args:
        path: its folder.

    Attributes:
        path: see above.
        feedback: what people say of its images.

    Raises:
        DataError: it is not an archive, or one of a later version.
        StorageError: it cannot be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        mark = path / MARK
        if not mark.exists():
            raise DataError(
                f"{path} is not an archive: it has no {MARK}.", "Name the folder of run --archive DIR."
            )
        with storage_errors(mark, "read"):
            data = read_bounded(mark, LARGEST_RECORD)
        try:
            version = parse_object(data).get("schema_version")
        except NotStrict as error:
            raise DataError(f"{mark} is {error}.", "Restore it from a copy.") from error
        if version != SCHEMA_VERSION:
            raise DataError(
                f"{path} is an archive of schema {version}; this version reads {SCHEMA_VERSION}.",
                "Use the version of dmdd-edge that wrote it.",
            )
        self.feedback = FeedbackFile(path / "feedback.jsonl")

    @classmethod
    def make(cls, path: Path) -> ArchiveFolder:
        """Open an archive, which is made if the folder is missing or empty.

        Raises:
            DataError: the folder holds something else.
            StorageError: it cannot be written.
        """
        make_folder(path)
        if not cls.is_there(path):
            write_atomically(path / MARK, json.dumps({"schema_version": SCHEMA_VERSION}) + "\n")
        return cls(path)

    @classmethod
    def is_there(cls, path: Path) -> bool:
        """Whether a folder is an archive already; otherwise it is missing or empty, and can become one.

        Raises:
            DataError: the folder holds something else, or an archive of a later version.
            StorageError: it cannot be read.
        """
        if (path / MARK).exists():
            cls(path)
            return True
        if path.exists():
            with storage_errors(path, "read"):
                other = next((entry.name for entry in path.iterdir() if entry.name[0] != "."), None)
            if other is not None:
                raise DataError(
                    f"{path} cannot become an archive: it holds other files, such as {other}.",
                    "Name another folder, a new or an empty one.",
                )
        return False

    def records(self) -> Iterator[Record]:
        """What is kept, the newest first; a record that cannot be read is left out."""
        kept = self.path / "kept"
        if not kept.is_dir():
            return
        seen: set[str] = set()  # a folder that somebody copied holds the same parts again
        for day in sorted((entry for entry in kept.iterdir() if entry.is_dir()), reverse=True):
            for file in sorted(day.glob("*.json"), reverse=True):
                record = None if file.stem in seen else self.read(file)
                if record is not None:
                    seen.add(record.id)
                    yield record

    def record(self, name: str) -> Record | None:
        """The record with this id; None without one, such as after the oldest were deleted."""
        found = next((self.path / "kept").glob(f"*/{name}.json"), None) if is_id(name) else None
        return None if found is None else self.read(found)

    def read(self, file: Path) -> Record | None:
        """The record of a file below ``kept``; None if it was deleted meanwhile, or is damaged.

        One with another id than its file's name is damaged: its verdicts would be another image's.
        """
        record = read_record(file)
        return record if record is not None and record.id == file.stem else None

    def image(self, record: Record) -> NDArray[np.uint8]:
        """The image of a record: uint8 H x W x 3 BGR.

        Raises:
            DmddError: it is gone or damaged.
        """
        return read_image(inside(self.path, record.image))

    def map(self, record: Record) -> NDArray[np.uint8] | None:
        """The anomaly map of a record: uint8 S x S, 0..255 for 0..1; None if none was kept.

        Raises:
            DmddError: it is gone or damaged.
        """
        if not record.map:
            return None
        return np.ascontiguousarray(read_image(inside(self.path, record.map))[:, :, 0])

    def counts(self) -> Iterator[Counts]:
        """Lines of ``counts.jsonl``, the oldest first; one that cannot be read is left out."""
        path = self.path / "counts.jsonl"
        if not path.exists():
            return
        with storage_errors(path, "read"):
            for _, line in read_lines(path):
                try:
                    yield validate(Counts, parse_object(line))
                except NotStrict:
                    continue
