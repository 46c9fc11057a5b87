"""The files of one category, and the use of each of its folders."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from dmdd_edge.data.datasets.remarks import count, grouped, summarize
from dmdd_edge.errors import DataError

GOOD = "good"
LEFT_OUT = "left out"
#: Rows of the table of folders before the rest is only counted.
_ROWS = 24
_NAME_COLUMNS = 44


@dataclass(frozen=True)
class TestImage:
    """A test image.

    Attributes:
        path: the image file.
        defect: "good", or the defect type (the name of the image's folder).
        mask: the mask's file; None for a good image, and for a defective one whose mask is missing.
        more_masks: further masks of the image, as of a part with several defects; all together are its truth.
    """

    __test__ = False  # pytest would take the class for a test

    path: Path
    defect: str
    mask: Path | None
    more_masks: tuple[Path, ...] = ()

    @property
    def is_good(self) -> bool:
        """Whether the image shows a good part."""
        return self.defect == GOOD

    @property
    def has_mask(self) -> bool:
        """Whether its pixels' truth is known; a good image's is. Without it, no pixel metrics from it."""
        return self.is_good or self.mask is not None


@dataclass(frozen=True)
class FolderUse:
    """The use of a folder.

    Attributes:
        folder: its path below the category's folder, "." for that itself.
        images: how many image files it holds.
        use: "training", "test, good", "test, defect NAME", "masks" or "left out".
        why: the reason, where it is left out or the use needs one; else empty.
    """

    folder: str
    images: int
    use: str
    why: str = ""


@dataclass(frozen=True)
class Category:
    """The files of one category.

    Attributes:
        name: the category's name.
        root: its folder.
        layout: "mvtec", "btad", "mpdd" or "folder".
        train: good images to learn from, in natural order.
        test: test images, good ones first, then by defect type.
        skipped: files not used and why; `skip` adds to it while images are read.
        notes: files used with a reservation, and which (a defective image without a mask counts for the
            image-level metrics only), and masks that fit no image.
        folders: the use of each folder.
    """

    name: str
    root: Path
    layout: str
    train: list[Path]
    test: list[TestImage]
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[tuple[Path, str]] = field(default_factory=list)
    folders: list[FolderUse] = field(default_factory=list)

    @property
    def defects(self) -> list[str]:
        """The defect types among the test images, without "good"."""
        return list(dict.fromkeys(image.defect for image in self.test if not image.is_good))

    @property
    def usable(self) -> list[Path]:
        """The training images without those that are known to be of no use."""
        unused = {path for path, _ in self.skipped}
        return [path for path in self.train if path not in unused]

    def skip(self, path: Path, reason: str) -> None:
        """Note a file that could not be used, once; fits `read_images`' on_error.

        A reason that begins with the file's own path, as the errors of reading do, is kept without it.
        """
        entry = (path, reason.removeprefix(f"{path}: ").removesuffix("."))
        if entry not in self.skipped:
            self.skipped.append(entry)

    def note(self, path: Path, reason: str) -> None:
        """Note a file that is used with a reservation, once."""
        if (path, reason) not in self.notes:
            self.notes.append((path, reason))

    def drop_mask(self, mask: Path, reason: str) -> None:
        """Take a mask from its image, which then counts for the image-level metrics only."""
        self.skip(mask, reason)
        for index, item in enumerate(self.test):
            if mask in (item.mask, *item.more_masks):
                self.test[index] = TestImage(item.path, item.defect, None)

    def require_test(self) -> None:
        """Raise DmddError when there is nothing to evaluate on; such a category can still be trained."""
        if not self.test:
            raise DataError(
                f"Category {self.name} ({self.root}) has no test images, so it cannot be evaluated.",
                fix="Put some into test/good and test/<defect>, and masks into ground_truth/<defect>.",
            )

    def describe(self) -> str:
        """One line for a person: name, layout, counts, and how many files were skipped or lack a mask."""
        text = self.headline()
        if self.notes:
            text += f"; {summarize(self.notes)}"
        return f"{text}; {summarize(self.skipped)}" if self.skipped else text

    def headline(self) -> str:
        """One line for a person: name, layout and counts."""
        good = sum(image.is_good for image in self.test)
        text = f"{self.name}: {self.layout} layout, {len(self.train)} good images to learn from"
        if self.test:
            bad = len(self.test) - good
            text += f", {good} good and {bad} defective in {count(len(self.defects), 'type')} to test on"
        else:
            text += ", no test images"
        return text

    def table(self) -> str:
        """The use of each folder, for a person: one line per folder, plain text."""
        shown: Sequence[FolderUse] = self.folders[:_ROWS]
        width = max((len(_fitted(row.folder)) for row in shown), default=0)
        lines = [
            f"  {_fitted(row.folder):<{width}}  {count(row.images, 'image'):>11}  {row.use}"
            + (f": {row.why}" if row.why else "")
            for row in shown
        ]
        if len(self.folders) > len(shown):
            rest = self.folders[len(shown) :]
            lines.append(
                f"  and {count(len(rest), 'more folder')} with "
                f"{count(sum(row.images for row in rest), 'image')}"
            )
        return "\n".join(lines)

    def remarks(self) -> list[str]:
        """What was skipped or used with a reservation: a line per reason, with the number of files."""
        return [
            *(f"not used: {line}" for line in grouped(self.skipped)),
            *(f"note: {line}" for line in grouped(self.notes)),
            *(f"note: {line}" for line in self._gaps()),
        ]

    def _gaps(self) -> list[str]:
        """The figures that cannot be measured because images or masks are missing."""
        if not self.test:
            return []
        gaps, own = [], self.layout == "folders"
        bad = [image for image in self.test if not image.is_good]
        if len(bad) == len(self.test):
            gaps.append(
                "there are no good test images, so no AUROC of images can be measured; "
                + ("add --good DIR" if own else "put good images that are not trained on into test/good")
            )
        if not bad:
            gaps.append("there are no defective test images, so no AUROC can be measured")
        masks = sum(image.mask is not None for image in bad)
        if bad and not masks:
            gaps.append(
                "no defective image has a mask, so nothing is measured per pixel; "
                + ("add --masks DIR" if own else "put masks into ground_truth/<defect>")
            )
        elif masks < len(bad):
            gaps.append(f"pixel figures come from {masks} of {count(len(bad), 'defective image')}")
        return gaps

    def counts(self) -> dict[str, Any]:
        """How much was used and what was not, by reason, for metrics.json; names no file."""
        bad = [image for image in self.test if not image.is_good]
        return {
            "layout": self.layout,
            "train": len(self.train),
            "test_good": len(self.test) - len(bad),
            "test_defective": len(bad),
            "masks": sum(image.mask is not None for image in bad),
            "left_out": sum(row.images for row in self.folders if row.use == LEFT_OUT),
            "passed_over": dict(Counter(reason for _, reason in self.skipped)),
            "notes": dict(Counter(reason for _, reason in self.notes)),
        }

    def summary(self) -> dict[str, Any]:
        """What was used and what was not, file by file, for run.json; paths are text."""
        return {
            **self.counts(),
            "folders": [asdict(row) for row in self.folders],
            "files": [
                {"file": str(path), "reason": reason, "used": used}
                for used, files in ((False, self.skipped), (True, self.notes))
                for path, reason in files
            ],
        }


def _fitted(name: str) -> str:
    if len(name) <= _NAME_COLUMNS:
        return name
    half = (_NAME_COLUMNS - 3) // 2
    return f"{name[:half]}...{name[-half:]}"
