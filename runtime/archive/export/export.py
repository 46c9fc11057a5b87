"""Exports the reviewed images of an archive."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from dmdd_edge.errors import DataError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.archive.export.coco import CAVEAT, write_coco
from dmdd_edge.runtime.archive.export.label_studio import write_label_studio
from dmdd_edge.runtime.archive.export.mvtec import write_mvtec
from dmdd_edge.runtime.archive.export.reviewed import ReviewedParts, reviewed_parts
from dmdd_edge.runtime.archive.export.target import fresh_folder
from dmdd_edge.runtime.archive.folder import ArchiveFolder

ExportFormat = Literal["mvtec", "coco", "labelstudio"]


@dataclass(frozen=True)
class Exported:
    """What was exported.

    Attributes:
        archive: from where.
        folder: where to.
        format: see above.
        written: numbers of what was written, by name.
        left_out: numbers of reviewed images that were left out, by reason.
        categories: of the images.
    """

    archive: Path
    folder: Path
    format: ExportFormat
    written: dict[str, int]
    left_out: dict[str, int]
    categories: tuple[str, ...]

    def headline(self) -> str:
        """What was written, in one line."""
        listed = ", ".join(f"{number} {name}" for name, number in self.written.items())
        return f"exported to {self.folder}: {listed}"

    def remarks(self) -> Iterator[str]:
        """What a person should know, one line each."""
        if self.left_out:
            listed = ", ".join(f"{number} {reason}" for reason, number in self.left_out.items())
            yield f"left out: {listed}"
        if self.format == "coco":
            yield CAVEAT
        if self.format == "labelstudio":
            root = shlex.quote(str(self.folder.absolute().parent))
            yield (
                "Start Label Studio with LABEL_STUDIO_LOCAL_FILES_SERVING_ENABLED=true "
                f"LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT={root}, and add the folder as local storage."
            )
        bad = [f"{each}/test/bad" for each in self.categories if f"{each}/test/bad" in self.written]
        for place in bad if self.format == "mvtec" else ():
            category = place.split("/")[0]
            yield f"bad parts for a challenge set: {self._challenge(place, category)}"

    def _challenge(self, place: str, category: str) -> str:
        return command("challenge", "add", self.folder / place, category=category)

    def next_command(self) -> str:
        """The command that a user would run next."""
        goods = [each for each in self.categories if f"{each}/train/good" in self.written]
        if self.format == "mvtec" and goods:
            options: dict[str, Any] = {"continue": goods[0], "add": self.folder / goods[0] / "train" / "good"}
            return command("train", **options)
        return command("review", self.archive, summary=True)

    def to_json(self) -> dict[str, Any]:
        """The fields of ``review --export --json``."""
        return {
            "folder": str(self.folder),
            "format": self.format,
            "written": self.written,
            "left_out": self.left_out,
            "categories": list(self.categories),
        }


def export_reviewed(
    archive: ArchiveFolder, target: Path, format: ExportFormat, overwrite: bool = False
) -> Exported:
    """Export the images that have a verdict.

    Args:
        archive: see ``ArchiveFolder``.
        target: a folder that is missing, empty, or an earlier export.
        format: ``mvtec``, ``coco`` or ``labelstudio``.
        overwrite: replace an earlier export.

    Raises:
        DataError: no image has a verdict.
        DmddError: the target cannot be used or written.
    """
    found = reviewed_parts(archive)
    if not found.parts:
        raise DataError(
            f"{archive.path} holds no reviewed image.", f"Review it: {command('review', archive.path)}"
        )
    with fresh_folder(target, overwrite) as folder:
        if format == "mvtec":
            written = write_mvtec(found, folder)
        elif format == "coco":
            written = write_coco(found, folder)
        else:
            written = write_label_studio(found, folder, target.absolute().name)
    categories = tuple(sorted({part.record.category for part in found.parts}))
    return Exported(archive.path, target, format, written, _left_out(found, format), categories)


def _left_out(found: ReviewedParts, format: ExportFormat) -> dict[str, int]:
    reasons = {
        "unsure": found.verdicts()["unsure"] if format != "labelstudio" else 0,
        "deleted from the archive": found.deleted,
        "damaged": found.damaged,
    }
    return {reason: number for reason, number in reasons.items() if number}
