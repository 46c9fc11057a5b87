"""Make a category of a folder: its training and test images, their masks, and what was left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dmdd_edge.datasets.assign import Assigned, Labelled, assign
from dmdd_edge.datasets.category import GOOD, LEFT_OUT, Category, FolderUse, TestImage
from dmdd_edge.datasets.remarks import count, grouped
from dmdd_edge.datasets.roles import Role, plain, role_of
from dmdd_edge.datasets.truth import Placed, bare_stem, pair
from dmdd_edge.datasets.walk import Tree, subfolders, walk
from dmdd_edge.errors import DmddError
from dmdd_edge.images import IMAGE_SUFFIXES, natural_key

_MPDD = ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes")
#: With defective images and no good test images, one in so many good images becomes a test image, where
#: there are at least as many as the second number.
_SPLIT_OFF, _ENOUGH = 5, 20
#: Files that people keep beside masks and that are none.
_NO_ANNOTATION = frozenset((".txt", ".md", ".db", ".ini", ".csv", ".log", ".html", ".pdf"))


@dataclass
class _Rows:
    """Rows of the table of folders, by folder and use, in the order in which they came."""

    counts: dict[tuple[str, str, str], int] = field(default_factory=dict)
    inside: dict[tuple[str, str, str], set[Path]] = field(default_factory=dict)

    def add(
        self, parts: Sequence[str], use: str, images: Sequence[Path] | int, why: str = "", minus: int = 0
    ) -> None:
        """Add a folder's images, or their number; ``minus`` of them are used otherwise."""
        key = ("/".join(parts) or ".", use, why)
        number = images if isinstance(images, int) else len(images)
        self.counts[key] = self.counts.get(key, 0) + number - minus
        if not isinstance(images, int):
            self.inside.setdefault(key, set()).update(path.parent for path in images)

    def uses(self) -> list[FolderUse]:
        return [
            FolderUse(key[0], number, key[1], key[2] or _spread(self.inside.get(key, set())))
            for key, number in self.counts.items()
            if number
        ]


def _spread(folders: set[Path]) -> str:
    return f"from {len(folders)} folders" if len(folders) > 1 else ""


def build(folder: Path, name: str, for_training: bool = True) -> Category:
    """Make the category of a folder.

    Args:
        folder: where it is.
        name: what it is called.
        for_training: whether it must have training images.

    Raises:
        DmddError: it has no training images; the message says what was found instead.
    """
    tree = walk(folder)
    assigned = assign(tree, _has_train(folder))
    split = _has_train(folder) or any(Role.TRAIN in map(role_of, entry.top) for entry in assigned.train)
    category = Category(name, folder, _layout(folder, assigned, split), [], [])
    for path, reason in tree.problems:
        category.skip(path, reason)
    rows = _Rows()
    beside = _masks_beside_images(assigned)
    _add_training(category, assigned, beside, rows)
    _add_tests(category, assigned, beside, rows)
    for entry in assigned.left_out:
        rows.add(entry.top, LEFT_OUT, len(entry.directory.images), entry.why)
    _add_other_kinds(tree, rows)
    category.folders.extend(rows.uses())
    if not category.train and (for_training or not category.test):
        raise _no_training_images(category, split)
    return category


def _has_train(folder: Path) -> bool:
    return any(role_of(child.name) is Role.TRAIN for child in subfolders(folder))


def _layout(folder: Path, assigned: Assigned, split: bool) -> str:
    if not split:
        return "folder"
    if any(entry.top[-1:] == ("ok",) for entry in assigned.train):
        return "btad"
    return "mpdd" if folder.resolve().name in _MPDD else "mvtec"


def _masks_beside_images(assigned: Assigned) -> dict[Path, Labelled]:
    """Files such as 000_mask beside 000 in a folder of images."""
    found = {}
    for entry in (*assigned.train, *assigned.test):
        stems = {plain(path.stem) for path in entry.directory.images}
        for path in entry.directory.images:
            bare = bare_stem(path)
            if bare != plain(path.stem) and bare in stems:
                found[path] = entry
    return found


def _add_training(category: Category, assigned: Assigned, beside: dict[Path, Labelled], rows: _Rows) -> None:
    for entry in assigned.train:
        images = [path for path in entry.directory.images if path not in beside]
        category.train.extend(images)
        rows.add(entry.top, "training", images)
        masks = len(entry.directory.images) - len(images)
        rows.add(entry.top, LEFT_OUT, masks, "masks beside training images")
    category.train.sort(key=natural_key)


def _add_tests(category: Category, assigned: Assigned, beside: dict[Path, Labelled], rows: _Rows) -> None:
    entries = sorted(assigned.test, key=lambda entry: (entry.label != GOOD, natural_key(Path(entry.label))))
    _split_off_good(category, assigned, rows)
    images = {id(entry): [path for path in entry.directory.images if path not in beside] for entry in entries}
    defective = [
        Placed(path, entry.keys) for entry in entries if entry.label != GOOD for path in images[id(entry)]
    ]
    beside_tests = {path: entry for path, entry in beside.items() if entry in entries}
    masks = [
        Placed(path, entry.keys)
        for entry in assigned.masks
        if not _of_good_images(entry)
        for path in entry.directory.images
    ]
    pairing = pair(defective, masks + [Placed(path, entry.keys) for path, entry in beside_tests.items()])
    for entry in entries:
        use = "test, good" if entry.label == GOOD else f"test, defect {entry.label}"
        rows.add(entry.top, use, images[id(entry)])
        for path in images[id(entry)]:
            mask = pairing.masks.get(path)
            category.test.append(TestImage(path, entry.label, mask))
            if mask is None and entry.label != GOOD:
                category.notes.append((path, _no_mask(assigned, entry)))
    category.notes.extend(pairing.left_over)
    for entry in assigned.masks:
        number = len(entry.directory.images)
        if _of_good_images(entry):
            rows.add(entry.top, LEFT_OUT, number, "masks of good images are not needed")
        else:
            rows.add(entry.top, "masks", number, _unusual(entry, pairing.masks))
    for entry in beside_tests.values():
        rows.add(entry.top, "masks", 1, "beside their images")


def _split_off_good(category: Category, assigned: Assigned, rows: _Rows) -> None:
    """Take good images from training for the test, where a plain folder has bad parts and no good tests.

    Which ones depends on their names alone, so that they stay the same when images are added or moved.
    """
    labels = {entry.label for entry in assigned.test if entry.directory.images}
    if category.layout != "folder" or not labels or GOOD in labels or len(category.train) < _ENOUGH:
        return
    chosen = {
        path
        for path in category.train
        if hashlib.sha256(os.fsencode(path.name)).digest()[0] % _SPLIT_OFF == 0
    }
    category.test.extend(TestImage(path, GOOD, None) for path in category.train if path in chosen)
    category.train[:] = [path for path in category.train if path not in chosen]
    for entry in assigned.train:
        number = sum(path in chosen for path in entry.directory.images)
        rows.add(entry.top, "training", 0, minus=number)
        rows.add(entry.top, "test, good", number, "one in five, chosen by file name, is not trained on")


def _of_good_images(entry: Labelled) -> bool:
    """Whether masks lie in a folder of good or of training images, which need none."""
    roles = [role_of(part) for part in entry.directory.parts]
    return Role.GOOD in roles or Role.TRAIN in roles


def _unusual(entry: Labelled, masks: Mapping[Path, Path]) -> str:
    """An example of how masks were paired with images, where their names or folders are unusual."""
    mine = set(entry.directory.images)
    for image, mask in masks.items():
        if mask in mine:
            usual = mask.stem in (image.stem, f"{image.stem}_mask") and mask.parent.name == image.parent.name
            return "" if usual else f"{mask.name} is that of {image.parent.name}/{image.name}"
    return ""


def _no_mask(assigned: Assigned, entry: Labelled) -> str:
    """Why an image has no mask: the names that were looked for."""
    top = next((masks.top for masks in assigned.masks), ("ground_truth",))
    folder = "/".join((*top, *entry.top[-1:]))
    return (
        f"no mask: counts for image-level metrics only; {folder}/NAME_mask.png and {folder}/NAME.png "
        "were looked for"
    )


def _add_other_kinds(tree: Tree, rows: _Rows) -> None:
    """Files that look like images or masks and are of kinds that are not read."""
    for directory in tree.directories:
        roles = [role_of(part) for part in directory.parts]
        if Role.JUNK in roles:
            continue
        found = directory.others if Role.TRUTH in roles else directory.other_images
        for suffix, number in found.items():
            if suffix in _NO_ANNOTATION:
                continue
            rows.add(
                directory.parts,
                LEFT_OUT,
                number,
                f"{suffix or 'files without a suffix'} is not read; convert to png",
            )


def _no_training_images(category: Category, split: bool) -> DmddError:
    """The error of a category that cannot be trained, with what was found instead."""
    found = [f"{row.folder} ({count(row.images, 'image')}, {row.why or row.use})" for row in category.folders]
    found += grouped(category.skipped)
    instead = f"; found: {'; '.join(found)}" if found else ""
    place = category.root / "train" / "good" if split else category.root
    return DmddError(
        f"{place}: no training images{instead}",
        fix=f"put images of good parts there ({', '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)})",
    )
