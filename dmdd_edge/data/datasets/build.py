"""Make a category of a folder: its training and test images, their masks, and what was left out."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from dmdd_edge.data.datasets.assign import Assigned, Kind, Labeled, assign
from dmdd_edge.data.datasets.category import GOOD, LEFT_OUT, Category, FolderUse, TestImage
from dmdd_edge.data.datasets.evidence import marked, refine
from dmdd_edge.data.datasets.remarks import count, grouped
from dmdd_edge.data.datasets.roles import Role, role_of
from dmdd_edge.data.datasets.truth import Placed, pair
from dmdd_edge.data.datasets.walk import Tree, subfolders, walk
from dmdd_edge.data.images import IMAGE_SUFFIXES, in_order, natural_key
from dmdd_edge.errors import DataError, DmddError

_MPDD = ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes")
#: With defective images and without good test images, every n-th good image becomes a test image, if there
#: are at least as many as the second number.
_SPLIT_OFF, _ENOUGH = 5, 20
_MARKED = "marked by masks"
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
    tree = refine(walk(folder))
    assigned = assign(tree, _has_train(folder))
    split = _has_train(folder) or any(Role.TRAIN in map(role_of, entry.top) for entry in assigned.train)
    category = Category(name, folder, _layout(folder, assigned, split), [], [])
    for path, reason in tree.problems:
        category.skip(path, reason)
    rows = _Rows()
    without = _marked_good(category, assigned)
    _add_training(category, assigned, without, rows)
    _add_tests(category, assigned, without, rows)
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


def _marked_good(category: Category, assigned: Assigned) -> set[Path]:
    """Images in folders of good parts in which a mask marks something; each is named.

    Masks beside their images were looked at before (``evidence``).
    """
    good = [*assigned.train, *(entry for entry in assigned.test if entry.label == GOOD)]
    named = [entry for entry in assigned.masks if _of_good_images(entry)]
    found = marked(_placed(good), _placed(named))
    # A folder of masks that says nothing of good parts holds those of defective ones, where there are any.
    if not any(entry.label != GOOD for entry in assigned.test):
        unlabeled = [entry for entry in assigned.train if entry.kind in (Kind.TRAIN_FLAT, Kind.PLAIN)]
        found |= marked(_placed(unlabeled), _placed(entry for entry in assigned.masks if entry not in named))
    for path in found:
        category.skip(path, "a mask marks a defect in it, so it is not used as a good part")
    return set(found)


def _placed(entries: Iterable[Labeled]) -> list[Placed]:
    return [Placed(path, entry.keys) for entry in entries for path in entry.directory.images]


def _add_training(category: Category, assigned: Assigned, without: set[Path], rows: _Rows) -> None:
    for entry in assigned.train:
        chosen = [path for path in entry.directory.images if path not in without]
        category.train.extend(chosen)
        rows.add(entry.top, "training", chosen)
        rows.add(entry.top, LEFT_OUT, len(entry.directory.images) - len(chosen), _MARKED)
        rows.add(entry.top, LEFT_OUT, len(entry.directory.masks), "masks beside training images")
    category.train.sort(key=in_order)


def _add_tests(category: Category, assigned: Assigned, without: set[Path], rows: _Rows) -> None:
    entries = sorted(assigned.test, key=lambda entry: (entry.label != GOOD, natural_key(Path(entry.label))))
    _split_off_good(category, assigned, rows)
    defects = [entry for entry in entries if entry.label != GOOD]
    masks = _placed(entry for entry in assigned.masks if not _of_good_images(entry))
    masks += [Placed(path, entry.keys) for entry in defects for path in entry.directory.masks]
    pairing = pair(_placed(defects), masks)
    for entry in entries:
        use = "test, good" if entry.label == GOOD else f"test, defect {entry.label}"
        why = "a name beside good/ is that of a defect" if entry.kind is Kind.UNKNOWN else ""
        chosen = [path for path in entry.directory.images if path not in without]
        rows.add(entry.top, use, chosen, why)
        rows.add(entry.top, LEFT_OUT, len(entry.directory.images) - len(chosen), _MARKED)
        for path in chosen:
            own = pairing.masks.get(path, ())
            category.test.append(TestImage(path, entry.label, own[0] if own else None, own[1:]))
            if not own and entry.label != GOOD:
                category.notes.append((path, _no_mask(assigned, entry)))
    category.notes.extend(pairing.left_over)
    for entry in assigned.masks:
        number = len(entry.directory.images)
        if _of_good_images(entry):
            rows.add(entry.top, LEFT_OUT, number, "masks of good images are not needed")
        else:
            rows.add(entry.top, "masks", number, _unusual(entry, pairing.masks))
    for entry in entries:
        rows.add(entry.top, "masks", len(entry.directory.masks), "beside their images")


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


def _of_good_images(entry: Labeled) -> bool:
    """Whether masks are in a folder of good or of training images, which need none."""
    roles = entry.directory.roles
    return Role.GOOD in roles or Role.TRAIN in roles


def _unusual(entry: Labeled, masks: Mapping[Path, tuple[Path, ...]]) -> str:
    """An example of how masks were paired with images, where their names or folders are unusual."""
    mine = set(entry.directory.images)
    for image, (mask, *more) in masks.items():
        if mask in mine and more:
            return f"several are taken together; {mask.name} is one of {image.parent.name}/{image.name}"
        if mask in mine:
            usual = mask.stem in (image.stem, f"{image.stem}_mask") and mask.parent.name == image.parent.name
            return "" if usual else f"{mask.name} is that of {image.parent.name}/{image.name}"
    return ""


def _no_mask(assigned: Assigned, entry: Labeled) -> str:
    """Why an image has no mask: the names that were looked for."""
    top = next((masks.top for masks in assigned.masks), ("ground_truth",))
    own = entry.top if entry.directory.named_by_files is None else entry.directory.parts
    folder = "/".join((*top, *own[-1:]))
    return (
        f"no mask: counts for image-level metrics only; {folder}/NAME_mask.png and {folder}/NAME.png "
        "were looked for"
    )


def _add_other_kinds(tree: Tree, rows: _Rows) -> None:
    """Files that look like images or masks and are of kinds that are not read."""
    for directory in tree.directories:
        roles = directory.roles
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
    return DataError(
        f"{place} holds no training images{instead}.",
        fix=f"Put images of good parts there ({', '.join(suffix[1:] for suffix in IMAGE_SUFFIXES)}).",
    )
