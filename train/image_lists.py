"""The images of a run by their use, written before its first step, so that a resumed run has the same.

Otherwise, images that come into the folder while the run is stopped would change which ones are held out, and
the threshold would be set by images that were trained on.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from dmdd_edge.data.datasets import Category
from dmdd_edge.data.datasets.remarks import count
from dmdd_edge.errors import DataError
from dmdd_edge.train.data import TrainingImages
from dmdd_edge.train.places import follow, located, portable
from dmdd_edge.train.run_folder import FACTS, IMAGES, MODEL, STATE, read_json, write_json

#: What to do about missing images of a resumed run.
_RESTORE = "Restore them, or train again with --overwrite."


@dataclass(frozen=True)
class ImageLists:
    """Absolute paths of a run's images.

    Attributes:
        train: those trained on.
        holdout: those held out.
        skipped: those not used, and why.
    """

    train: tuple[Path, ...]
    holdout: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]

    def restrict(self, category: Category) -> tuple[Category, list[str]]:
        """The category with these images only, and what a user should know, a line each.

        Raises:
            DataError: some are missing.
        """
        used = {*self.train, *self.holdout}
        require_all([*self.train, *self.holdout], "that this training began with", _RESTORE)
        left_out = {path: reason for path, reason in self.skipped if path not in used}
        same = replace(category, train=[path for path in category.train if path.absolute() in used])
        fresh = []
        for path in category.train:
            if (reason := left_out.get(path.absolute())) is not None:
                same.skip(path, reason)
            elif path.absolute() not in used:
                fresh.append(path)
        if not fresh:
            return same, []
        are, them = ("is", "it") if len(fresh) == 1 else ("are", "them")
        return same, [
            f"note: {count(len(fresh), 'image')} {are} not used, since the training began without {them} "
            f"(first: {fresh[0]}); add {them} to the finished run with --continue and --add"
        ]


def write_lists(folder: Path, category: Category, images: TrainingImages) -> None:
    """Write the images of a run into its folder.

    Args:
        folder: of the run.
        category: its images as they were found.
        images: as they were read and split.

    Raises:
        StorageError: it cannot be written.
    """
    used = {*images.train_paths, *images.holdout_paths}
    reasons = dict(category.skipped)
    facts = {
        "root": str(category.root.absolute()),
        "train": [str(path.absolute()) for path in images.train_paths],
        "holdout": [str(path.absolute()) for path in images.holdout_paths],
        "skipped": [
            [str(path.absolute()), reasons.get(path, "")] for path in category.train if path not in used
        ],
    }
    write_json(folder / IMAGES, portable(facts))


def read_lists(folder: Path, category: Category) -> ImageLists | None:
    """The images that an unfinished run began with, where its category's folder is now.

    Returns:
        None where it has made no step yet, or is of a version that did not write them.
    """
    if (folder / MODEL).is_file():
        facts = read_json(folder / FACTS)
    elif (folder / STATE).is_file():
        facts = read_json(folder / IMAGES)
    else:
        return None
    if not named(facts, ("train", "holdout", "skipped")):
        return None
    facts = follow(located(facts), category.root.absolute())
    train, holdout = (tuple(Path(path) for path in facts[name]) for name in ("train", "holdout"))
    return ImageLists(train, holdout, tuple((Path(path), reason) for path, reason in facts["skipped"]))


def named(facts: dict[str, Any], lists: Sequence[str]) -> bool:
    """Whether the facts of a run name their root and have these lists."""
    return isinstance(facts.get("root"), str) and all(isinstance(facts.get(name), list) for name in lists)


def require_all(paths: Sequence[Path], of: str, fix: str) -> None:
    """Check that images exist.

    Args:
        paths: of the images.
        of: whose they are, for the message.
        fix: what to do about it.

    Raises:
        DataError: some do not.
    """
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise DataError(
            f"{len(missing)} of {count(len(paths), 'image')} {of} are missing (first: {missing[0]}).", fix
        )
