"""Paths of a run's images: relative to the category's folder in ``run.json``, absolute in memory.

A data set moves: to another disk, another machine, another mount point. ``run.json`` therefore names its
files relative to the category's folder, which it names once (``root``), and ``moved`` points all of them at a
new place. Runs from before that hold absolute paths, which are mapped by what follows the old folder. Of
images from a store the root is their address, and the files are those of the copy on this machine.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.data.datasets import Category, FolderUse, load_category
from dmdd_edge.data.datasets.repeats import same_content
from dmdd_edge.data_address import DataPlace, copied_from, is_address, local_place, settled
from dmdd_edge.errors import DmddError
from dmdd_edge.train.known_bad import leave_out

if TYPE_CHECKING:
    from dmdd_edge.train.checkpoint import Run

#: The facts that are lists of files.
_LISTS = ("train", "holdout", "added")
#: The facts whose lists have entries that name their image under ``file``.
_WITH_FILES = {"outliers": ("images", "furthest"), "data_set": ("files",)}


def portable(info: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run as ``run.json`` keeps them: files under ``root`` relative to it, with ``/``."""
    if "root" not in info:
        return info
    root = Path(info["root"])
    facts = _mapped(
        info, lambda path: path.relative_to(root).as_posix() if path.is_relative_to(root) else path
    )
    return {**facts, "root": copied_from(root) or info["root"]}


def located(info: dict[str, Any]) -> dict[str, Any]:
    """The facts of a run as the program uses them: every file absolute. Undoes ``portable``."""
    if "root" not in info:
        return info
    root = local_place(info["root"]) if is_address(info["root"]) else Path(info["root"])
    return {**_mapped(info, lambda path: root / path), "root": str(root)}


def moved(run: Run, data: DataPlace | None) -> Run:
    """The run with its data set at another place: the configuration and all files of its facts point to it.

    Args:
        run: as ``load_run`` gives it; it is not changed.
        data: data set, category's folder or folder of good images, as for ``train --data``; None changes
            nothing, but copies the images here that the run has from a store.

    Raises:
        DmddError: the folder does not exist or does not hold the run's category.
    """
    if data is None:
        if not isinstance(run.config.data, str):
            return run
        data = run.config.data
    info = run.info if "root" in run.info else {**run.info, "root": str(_root_before(run))}
    info = follow(info, find_images(data, run.config.category).root.absolute())
    return replace(run, info=info, config=run.config.model_copy(update={"data": settled(data, links=False)}))


def follow(info: dict[str, Any], root: Path) -> dict[str, Any]:
    """The facts of a run whose category's folder is at another place now.

    Args:
        info: with the ``root`` of before and absolute paths.
        root: the place where it is.
    """
    old = Path(info["root"])

    def moved_path(path: Path) -> Path:
        return root / path.relative_to(old) if path.is_relative_to(old) else path

    return {**_mapped(info, moved_path), "root": str(root)}


def category_of(run: Run) -> Category:
    """The files of a run's category, at the place that its configuration names, without its known-bad parts.

    Raises:
        DmddError: they are missing.
    """
    category = find_images(run.config.data, run.config.category)
    leave_out(category, run.info.get("known_bad", {}).get("digests", ()))
    if run.config.parent is not None:
        return with_images(category, run.info)
    images = of_training(run.info)
    return replace(without_trained(category, images), train=images)


def category_of_or_none(run: Run) -> Category | None:
    """The run's images; None when they are missing, so that only held-out ones can be used."""
    try:
        return category_of(run)
    except DmddError:
        return None


def without_trained(category: Category, used: Collection[Path]) -> Category:
    """The category without test images that a run has trained on or held out.

    A folder of defective parts that comes later makes every fifth good image a test image, for example.

    Args:
        category: as it is found now.
        used: absolute paths of the run's images.
    """
    known = {path.resolve() for path in used}
    again = {item.path: None for item in category.test if item.path.resolve() in known}
    if not again:
        return category
    same = replace(
        category,
        test=[item for item in category.test if item.path not in again],
        notes=[*category.notes],
        folders=with_fewer(category.folders, again, category.root, "test"),
    )
    for path in again:
        same.note(path, "trained on or held out by this run, so not tested on")
    return same


def without_copies(category: Category, used: Collection[Path]) -> Category:
    """The category without test images that a run has trained on or held out, nor copies of them.

    Args:
        category: of folders that the user names.
        used: absolute paths of the run's images; those that are gone have no copies that can be seen.
    """
    same, known = without_trained(category, used), {path.absolute() for path in used}
    tests = {item.path.absolute() for item in same.test}
    twins = [group for group in same_content([*known, *tests]) if not known.isdisjoint(group)]
    return without_trained(same, {path for group in twins for path in group})


def with_training(category: Category, train: Sequence[Path], used: Collection[Path]) -> Category:
    """The category with the training images of a run, whatever it says of them now.

    Args:
        category: as it is found now; its table of folders may need more.
        train: its training images, absolute.
        used: those among them that the run has trained on or held out.
    """
    known = frozenset(used)
    skipped = [item for item in category.skipped if item[0].absolute() not in known]
    return without_trained(replace(category, train=list(train), skipped=skipped), known)


def with_fewer(rows: Sequence[FolderUse], images: Iterable[Path], root: Path, use: str) -> list[FolderUse]:
    """The rows of a table of folders without some images, in the first row of the use that may count each.

    Args:
        rows: of the table.
        images: that are counted otherwise.
        root: the folder that the rows are below.
        use: how the row's use begins.
    """
    left = list(rows)
    for path in images:
        for index, row in enumerate(left):
            if row.use.startswith(use) and row.images and path.is_relative_to(root / row.folder):
                left[index] = replace(row, images=row.images - 1)
                break
    return [row for row in left if row.images]


def of_training(facts: dict[str, Any]) -> list[Path]:
    """All images that a run has trained on or held out, as far as its facts name them."""
    return [Path(path) for name in ("train", "holdout") for path in facts.get(name, ())]


def with_images(category: Category, facts: dict[str, Any]) -> Category:
    """The category with the images of a continued run as its training images; its tests stay.

    Folders that are not below the category's are named by their whole path.
    """
    images = of_training(facts)
    same = with_training(category, images, images)
    root = category.root.absolute()
    elsewhere = Counter(path.parent for path in images if not path.is_relative_to(root))
    rows = [FolderUse(str(folder), number, "training") for folder, number in elsewhere.items()]
    return replace(same, folders=[*same.folders, *rows])


def find_images(data: DataPlace, name: str) -> Category:
    """The files of a category in a data set, or in its own folder whatever that is called.

    Raises:
        DmddError: the folder does not exist or does not hold the category.
    """
    try:
        return load_category(data, name)
    except DmddError:
        # The category's own folder may have been renamed; a data set of other categories is an error.
        try:
            category = load_category(data)
        except DmddError:
            category = None
        own = None if category is None else copied_from(category.root) or category.root.absolute()
        if category is None or own != settled(data, links=False):
            raise
        return category


def _root_before(run: Run) -> Path:
    """The category's folder of a run that does not name it: within the data set's, or that folder itself."""
    data = Path(run.config.data)
    below = data / run.config.category
    paths = [Path(path) for name in _LISTS for path in run.info.get(name, ())]
    return below if paths and all(path.is_relative_to(below) for path in paths) else data


def _mapped(info: dict[str, Any], change: Callable[[Path], Path | str]) -> dict[str, Any]:
    """A copy of a run's facts with every file's path changed."""

    def text(path: str) -> str:
        return str(change(Path(path)))

    facts = dict(info)
    for name in _LISTS:
        if name in facts:
            facts[name] = [text(path) for path in facts[name]]
    if "skipped" in facts:
        facts["skipped"] = [[text(path), reason] for path, reason in facts["skipped"]]
    for name, lists in _WITH_FILES.items():
        if facts.get(name):
            entries = {part: facts[name][part] for part in lists if part in facts[name]}
            facts[name] = facts[name] | {
                part: [{**entry, "file": text(entry["file"])} for entry in listed]
                for part, listed in entries.items()
            }
    return facts
