"""Which images of an archive are exported: those with a verdict whose files are still there."""

from __future__ import annotations

import shutil
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

from dmdd_edge.data.image_header import read_header
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.failures import storage_errors
from dmdd_edge.messages.text import is_plain_name, visible
from dmdd_edge.outside_files import inside, open_regular
from dmdd_edge.runtime.archive.feedback import Feedback
from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.names import budget_of, day_of
from dmdd_edge.runtime.archive.record import Record

#: The first bytes of a file, which hold the size of its image.
_HEAD = 1 << 16


@dataclass(frozen=True)
class Part:
    """An image with its verdict.

    Attributes:
        record: what the detector said.
        feedback: what a person said.
        path: the image.
        width, height: in pixels.
    """

    record: Record
    feedback: Feedback
    path: Path
    width: int
    height: int

    @property
    def verdict(self) -> str:
        """``good``, ``bad`` or ``unsure``."""
        return self.feedback.verdict

    @property
    def name(self) -> str:
        """The name of its file in an export: the id without why the image was kept.

        Training and comparison take ``...-anomalous.png`` for a defective part; it may be a false alarm.
        """
        name = self.record.id
        return f"{name.rpartition('-')[0] if budget_of(name) else name}{self.path.suffix}"

    def boxes(self) -> list[tuple[int, int, int, int, float]]:
        """The regions within the image: x, y, width, height in pixels, and the peak of the map."""
        found = []
        for box in self.record.regions:
            left, top = max(box.x, 0), max(box.y, 0)
            right, bottom = min(box.x + box.width, self.width), min(box.y + box.height, self.height)
            if left < right and top < bottom:
                found.append((left, top, right - left, bottom - top, box.peak))
        return found

    def copy(self, folder: Path) -> Path:
        """Copy the image into a folder, which is made.

        Raises:
            StorageError: it cannot be written.
        """
        target = folder / self.name
        with storage_errors(target):
            folder.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(self.path, target)
        return target


@dataclass
class ReviewedParts:
    """What an archive holds with a verdict.

    Attributes:
        parts: the oldest first.
        deleted: images with a verdict that are not in the archive any more.
        damaged: images that cannot be read.
    """

    parts: list[Part] = field(default_factory=list)
    deleted: int = 0
    damaged: int = 0

    def by_category(self) -> dict[str, list[Part]]:
        """The parts of each category.

        Raises:
            DataError: a category cannot name a folder.
        """
        found: dict[str, list[Part]] = {}
        for part in self.parts:
            if not is_plain_name(part.record.category):
                category = visible(part.record.category)
                raise DataError(
                    f"The category {category!r} of {part.record.id} cannot name a folder.",
                    "Export as coco or labelstudio, which have no folder for each category.",
                )
            found.setdefault(part.record.category, []).append(part)
        return dict(sorted(found.items()))

    def verdicts(self) -> Counter[str]:
        """Parts by verdict."""
        return Counter(part.verdict for part in self.parts)


def reviewed_parts(archive: ArchiveFolder) -> ReviewedParts:
    """The images of an archive that have a verdict.

    Raises:
        StorageError: the verdicts cannot be read.
    """
    found = ReviewedParts()
    for name, feedback in sorted(archive.feedback.latest().items()):
        record = archive.read(archive.path / "kept" / day_of(name) / f"{name}.json") or archive.record(name)
        if record is None:
            found.deleted += 1
            continue
        path = archive.path / record.image
        try:
            with open_regular(inside(archive.path, record.image)) as file:
                header = read_header(memoryview(file.read(_HEAD)))
        except FileNotFoundError:
            found.deleted += 1
            continue
        except (OSError, DmddError):  # also a link or a path that leaves the archive
            header = None
        if header is None or not header.width:
            found.damaged += 1
            continue
        found.parts.append(Part(record, feedback, path, header.width, header.height))
    return found
