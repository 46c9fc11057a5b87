"""The folder of a set: each image is a PNG with its record beside it, whole or not there at all.

The record is written before its image. Whatever ends the program, every image has its record; a record
without its image is what a kill left, and the next start removes it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets.walk import walk
from dmdd_edge.data.images import is_gray
from dmdd_edge.errors import DataError, DmddError, OptionError
from dmdd_edge.failures import storage_errors
from dmdd_edge.locking import locked
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.runtime.collect.record import Record
from dmdd_edge.storage import fsync_path, make_folder, require_writable, write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate

#: The largest record that is read, in bytes, and the highest number of an image.
_LARGEST, HIGHEST = 1 << 20, 999_999
_IMAGE = re.compile(r"([0-9]{6})\.png")
_RECORD = re.compile(r"([0-9]{6})\.json")
#: What a kill leaves of a file that was being written (``storage.write_atomically``).
_PART = re.compile(r"\.[0-9]{6}\.(?:png|json)-.*\.part")
_ANOTHER = "Name another folder with --into."


@dataclass(frozen=True)
class Stored:
    """What a folder holds.

    Attributes:
        records: of its images, by number.
        cleared: how many unfinished files of an earlier end were removed.
    """

    records: dict[int, Record]
    cleared: int


class SetFolder:
    """Holds a folder for this program alone; to be used in a ``with`` block.

    Args:
        path: need not exist.

    Raises:
        OptionError: it is a file, holds images that were not collected, or another program collects into
            it.
        StorageError: it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir():
            raise OptionError(f"--into {path} is a file, not a folder.", _ANOTHER)
        require_writable(path, "--into")
        self._highest = 0

    @contextmanager
    def held(self) -> Iterator[Stored]:
        """Make the folder, hold it, and read what it holds."""
        make_folder(self.path)

        def busy(holder: str) -> DmddError:
            return OptionError(f"{holder} collects into {self.path} now.", "Wait for it, or end it.")

        with locked(self.path, busy, path=self.path / ".collect.lock"):
            yield self._stored()

    def image_path(self, number: int) -> Path:
        """Path of an image."""
        return self.path / f"{number:06d}.png"

    def next_number(self) -> int:
        """The number of the next image; numbers are not used twice.

        Raises:
            OptionError: the folder is full.
        """
        if self._highest >= HIGHEST:
            raise OptionError(f"{self.path} holds image {HIGHEST}, the last that fits.", _ANOTHER)
        return self._highest + 1

    def write(self, record: Record, image: NDArray[np.uint8]) -> Path:
        """Write an image and its record; both are on the disk when this returns.

        Args:
            record: of the image; its number is the next one.
            image: uint8 H x W x 3 BGR. A gray one is written with one channel, which reads as the same.

        Raises:
            StorageError: the disk refuses; the folder is as before.
        """
        path = self.image_path(record.number)
        done, data = cv2.imencode(".png", image[..., 0] if is_gray(image) else image)
        if not done:
            raise DataError("The image cannot be encoded as PNG.", "Report this as a bug.")
        side = path.with_suffix(".json")
        write_atomically(side, record.model_dump_json(indent=1) + "\n")
        try:
            write_atomically(path, data.tobytes())
        except BaseException:
            with suppress(OSError):
                side.unlink()
            raise
        self._highest = record.number
        return path

    def remove(self, number: int) -> None:
        """Remove an image and its record."""
        path = self.image_path(number)
        with storage_errors(path, "removed"):
            path.unlink(missing_ok=True)
            path.with_suffix(".json").unlink(missing_ok=True)
        fsync_path(self.path)

    def _stored(self) -> Stored:
        tree = walk(self.path)
        found = [image for directory in tree.directories for image in directory.images]
        found += [path for path, _ in tree.problems]
        numbers: dict[int, Path] = {}
        for path in found:
            match = _IMAGE.fullmatch(path.name) if path.parent == self.path else None
            if match is None or not path.with_suffix(".json").is_file():
                raise OptionError(
                    f"{self.path} holds images that were not collected ({path.relative_to(self.path)}).",
                    f"{_ANOTHER} To check them too, collect from them: --source {self.path}.",
                )
            numbers[int(match[1])] = path
        records = {number: _read(path.with_suffix(".json"), number) for number, path in numbers.items()}
        self._highest = max(numbers, default=0)
        return Stored(dict(sorted(records.items())), self._clear(numbers))

    def _clear(self, numbers: dict[int, Path]) -> int:
        """Remove what an earlier end left: unfinished files, and records without their images."""
        cleared = 0
        for path in self.path.iterdir():
            record = _RECORD.fullmatch(path.name)
            orphan = record is not None and int(record[1]) not in numbers and _is_record(path)
            if orphan or _PART.fullmatch(path.name):
                with storage_errors(path, "removed"):
                    path.unlink(missing_ok=True)
                cleared += 1
        return cleared


def _read(path: Path, number: int) -> Record:
    try:
        with storage_errors(path, "read"):
            record = validate(Record, parse_object(read_bounded(path, _LARGEST)))
    except NotStrict as error:
        raise DataError(
            f"{path} is not the record of a collected image: {error}.",
            f"Remove it and {path.with_suffix('.png').name}, or name another folder with --into.",
        ) from None
    if record.number != number:
        raise DataError(f"{path} is the record of image {record.number}.", "Give both their own names again.")
    return record


def _is_record(path: Path) -> bool:
    try:
        return parse_object(read_bounded(path, _LARGEST)).get("type") == "collected"
    except (NotStrict, OSError):
        return False
