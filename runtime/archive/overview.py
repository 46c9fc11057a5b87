"""How many images an archive holds, by status, reason and verdict."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dmdd_edge.runtime.archive.folder import ArchiveFolder
from dmdd_edge.runtime.archive.index import Index
from dmdd_edge.runtime.archive.views import Facet

VERDICTS = ("good", "bad", "unsure")


@dataclass(frozen=True)
class Overview:
    """Numbers of images.

    Attributes:
        counts: by what images have in common, and by verdict, an empty text for those without one.
        unreadable: records that are damaged.
        deleted: images that have a verdict and are no longer in the archive.
    """

    counts: Counter[tuple[Facet, str]]
    unreadable: int
    deleted: int

    @property
    def records(self) -> int:
        """Images in the archive."""
        return self.counts.total()

    @property
    def verdicts(self) -> Counter[str]:
        """Images by verdict, an empty text for those without one."""
        return self._sum(lambda facet: True)

    @property
    def reviewed(self) -> int:
        """Images with a verdict."""
        return self.records - self.verdicts[""]

    @property
    def categories(self) -> list[str]:
        """Categories of the images."""
        return sorted({facet.category for facet, _ in self.counts})

    def headline(self) -> str:
        """What a person asks first, in one line."""
        by = self.verdicts
        listed = ", ".join(f"{by[verdict]} {verdict}" for verdict in VERDICTS)
        return f"{self.reviewed} of {self.records} images reviewed: {listed}"

    def rows(self) -> Iterator[tuple[str, Counter[str]]]:
        """Lines of a table: a name, and numbers by verdict."""
        for title, values in self._groups().items():
            for value, counts in values.items():
                yield f"{title} {value}", counts

    def remarks(self) -> Iterator[str]:
        """What is left out, one line each."""
        if self.unreadable:
            yield f"{self.unreadable} records are damaged and are left out"
        if self.deleted:
            yield f"{self.deleted} images with a verdict were deleted to keep within the archive's bound"

    def to_json(self) -> dict[str, Any]:
        """The fields of ``review --json``."""
        groups = {
            title: {value: _named(counts) for value, counts in values.items()}
            for title, values in self._groups().items()
        }
        return {
            "records": self.records,
            "reviewed": self.reviewed,
            "verdicts": _named(self.verdicts),
            **groups,
            "unreadable": self.unreadable,
            "deleted": self.deleted,
        }

    def _groups(self) -> dict[str, dict[str, Counter[str]]]:
        return {
            name: {
                value: self._sum(lambda facet, at=at, value=value: facet[at] == value)
                for value in sorted({facet[at] for facet, _ in self.counts})
                if value
            }
            for at, name in enumerate(Facet._fields)
        }

    def _sum(self, takes: Any) -> Counter[str]:
        total: Counter[str] = Counter()
        for (facet, verdict), number in self.counts.items():
            if takes(facet):
                total[verdict] += number
        return total


def _named(counts: Counter[str]) -> dict[str, int]:
    return {**{verdict: counts[verdict] for verdict in VERDICTS}, "none": counts[""]}


def overview(archive: ArchiveFolder) -> Overview:
    """Count what an archive holds.

    Raises:
        StorageError: the verdicts cannot be read.
    """
    index = Index(archive)
    while not index.step(1.0):
        pass
    word = index.verdicts.word
    counts = Counter((entry.facet, word(name)) for name, entry in index.entries.items())
    deleted = sum(name not in index.entries for name in index.verdicts.names())
    return Overview(counts, len(index.unreadable), deleted)
