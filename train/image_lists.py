"""The images of a run by their use, written before its first step, so that a resumed run has the same.

Otherwise, images that come into the folder while the run is stopped would change which ones are held out, and
the threshold would be set by images that were trained on.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from dmdd_edge.data.datasets import Category, FolderUse
from dmdd_edge.data.datasets.category import LEFT_OUT
from dmdd_edge.data.datasets.remarks import count
from dmdd_edge.data.datasets.repeats import fingerprint_of
from dmdd_edge.data.images import in_order
from dmdd_edge.errors import DataError, TrainingError
from dmdd_edge.train.data import TrainingImages
from dmdd_edge.train.places import follow, located, portable, with_fewer, with_training
from dmdd_edge.train.run_folder import AGAIN, FACTS, IMAGES, MODEL, STATE, read_json, write_json

#: Whose images those of a resumed run are, and what to do about those that are missing or others.
_OF_START, _RESTORE = "that this training began with", "Restore them, or train again with --overwrite."
_TRAINING, _CAME_LATER = "training", "came after the training began"


@dataclass(frozen=True)
class ImageLists:
    """Absolute paths of a run's images.

    Attributes:
        train: those trained on.
        holdout: those held out.
        skipped: those not used, and why.
        fingerprints: of the files of ``train`` and ``holdout``, as far as they are known.
    """

    train: tuple[Path, ...]
    holdout: tuple[Path, ...]
    skipped: tuple[tuple[Path, str], ...]
    fingerprints: Mapping[Path, str] = field(default_factory=dict)

    def restrict(self, category: Category) -> tuple[Category, list[str]]:
        """The category with these images only, and what a user should know, a line each.

        Raises:
            DataError: some are missing, or have other content.
        """
        used = {*self.train, *self.holdout}
        require_unchanged([*self.train, *self.holdout], self.fingerprints)
        found = {path.absolute() for path in category.train}
        left_out = {path: reason for path, reason in self.skipped if path not in used}
        same = with_training(category, sorted([*used, *left_out], key=in_order), used)
        for path, reason in left_out.items():
            same.skip(path, reason)
        fresh = sorted(found - used - left_out.keys(), key=in_order)
        elsewhere = sorted(used - found, key=in_order)
        notes = []
        if fresh:
            are, them = ("is", "it") if len(fresh) == 1 else ("are", "them")
            notes.append(
                f"note: {count(len(fresh), 'image')} {are} not used, since the training began without {them} "
                f"(first: {fresh[0]}); add {them} to the finished run with --continue and --add"
            )
        if elsewhere:
            stay, them = ("stays", "it") if len(elsewhere) == 1 else ("stay", "them")
            notes.append(
                f"note: {count(len(elsewhere), 'image')} {stay} in the training, which began with {them} "
                f"(first: {elsewhere[0]}); a new training would use {them} otherwise"
            )
        if fresh or elsewhere:
            tests = {item.path.absolute() for item in category.test}
            left = [path for path in elsewhere if path not in tests]
            same = replace(same, folders=self._rows(same, fresh, left))
        return same, notes

    def _rows(self, category: Category, fresh: Sequence[Path], left: Sequence[Path]) -> list[FolderUse]:
        """The use of each folder; the training images are counted by the folder that holds them.

        Args:
            category: as it is found now.
            fresh: images that came later.
            left: images of the run that it leaves out now.
        """
        root = category.root.absolute()

        def rows(paths: Collection[Path], use: str, why: str = "") -> list[FolderUse]:
            of_folder = Counter(path.parent for path in paths)
            return [FolderUse(_below(folder, root), number, use, why) for folder, number in of_folder.items()]

        return [
            *rows([*self.train, *self.holdout], _TRAINING),
            *rows(fresh, LEFT_OUT, _CAME_LATER),
            *with_fewer([row for row in category.folders if row.use != _TRAINING], left, root, LEFT_OUT),
        ]


def _below(folder: Path, root: Path) -> str:
    return folder.relative_to(root).as_posix() if folder.is_relative_to(root) else str(folder)


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
        "fingerprints": [fingerprint_of(path) for path in (*images.train_paths, *images.holdout_paths)],
    }
    write_json(folder / IMAGES, portable(facts))


def read_lists(folder: Path, category: Category) -> ImageLists | None:
    """The images that an unfinished run began with, where its category's folder is now.

    Returns:
        None where it has made no step yet, or is of a version that did not write them.

    Raises:
        TrainingError: the lists are damaged.
    """
    trained = (folder / MODEL).is_file()
    if not trained and not (folder / STATE).is_file():
        return None
    path = folder / IMAGES
    if trained and not path.exists():  # of a version that removed it then
        path = folder / FACTS
    if not path.exists():
        return None
    facts = read_json(path)
    if not named(facts, ("train", "holdout")) or not _pairs(facts.get("skipped")):
        raise damaged(path)
    facts = follow(located(facts), category.root.absolute())
    train, holdout = (tuple(Path(path) for path in facts[name]) for name in ("train", "holdout"))
    skipped = tuple((Path(path), reason) for path, reason in facts["skipped"])
    if not train or set(train) & set(holdout):
        raise damaged(path)
    if path.name == FACTS:  # which names all files that were not used, masks and test images too
        found = {path.absolute() for path in category.train}
        return ImageLists(train, holdout, tuple(item for item in skipped if item[0] in found))
    return ImageLists(train, holdout, skipped, known_fingerprints(facts, [*train, *holdout], path))


def without_lists(folder: Path) -> list[str]:
    """What a user should know of a run without lists, a line each: nothing, if it has made no step yet."""
    if not (folder / STATE).is_file():
        return []
    return [
        f"note: {folder / IMAGES} is missing, so the folder's images are split again; if they are not those "
        "that the training began with, train again with --overwrite"
    ]


def known_fingerprints(facts: dict[str, Any], paths: Sequence[Path], file: Path) -> dict[Path, str]:
    """The fingerprints in the facts of a run by their image; none of a version that did not write them.

    Raises:
        TrainingError: there are others than images.
    """
    texts = facts.get("fingerprints")
    if texts is None:
        return {}
    if not _texts(texts) or len(texts) != len(paths):
        raise damaged(file)
    return {path: text for path, text in zip(paths, texts, strict=True) if text}


def damaged(path: Path) -> TrainingError:
    """The error of a file that does not name the images of its run."""
    return TrainingError(f"{path} does not name the images of the run: it is damaged.", AGAIN)


def named(facts: dict[str, Any], lists: Sequence[str]) -> bool:
    """Whether the facts of a run name their root and have these lists of files."""
    return isinstance(facts.get("root"), str) and all(_texts(facts.get(name)) for name in lists)


def _texts(values: object) -> bool:
    return isinstance(values, list) and all(isinstance(value, str) for value in values)


def _pairs(values: object) -> bool:
    return isinstance(values, list) and all(_texts(pair) and len(pair) == 2 for pair in values)


def require_all(paths: Sequence[Path], of: str, fix: str) -> None:
    """Check that images exist.

    Args:
        paths: of the images.
        of: whose they are, for the message.
        fix: what to do about it.

    Raises:
        DataError: some do not.
    """
    _require(paths, os.path.isfile, f"{of} are missing", fix)


def require_unchanged(paths: Sequence[Path], fingerprints: Mapping[Path, str]) -> None:
    """Check that the images of a resumed run exist, and have the content that they had.

    Args:
        paths: of the images.
        fingerprints: by the path of the image, as far as they are known.

    Raises:
        DataError: some do not.
    """
    require_all(paths, _OF_START, _RESTORE)
    _require(
        list(fingerprints),
        lambda path: fingerprint_of(path) == fingerprints[path],
        f"{_OF_START} have other content now",
        _RESTORE,
    )


def _require(paths: Sequence[Path], fits: Callable[[Path], bool], what: str, fix: str) -> None:
    others = [path for path in paths if not fits(path)]
    if others:
        raise DataError(f"{len(others)} of {count(len(paths), 'image')} {what} (first: {others[0]}).", fix)
