"""A test set from two folders of a user: good parts in one, defective parts in the other."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.data.datasets.category import GOOD, Category, TestImage
from dmdd_edge.data.datasets.evidence import EMPTY_MASK, refine
from dmdd_edge.data.datasets.roles import Role, plain, role_of
from dmdd_edge.data.datasets.truth import Placed, pair
from dmdd_edge.data.datasets.walk import Directory, walk
from dmdd_edge.errors import DataError, OptionError


def from_folders(
    name: str,
    good: Path | None,
    bad: Path | None,
    masks: Path | None = None,
    bad_option: str = "--bad",
) -> Category:
    """The test images of two folders with their subfolders.

    Args:
        name: the category's name.
        good: images of good parts.
        bad: images of defective parts; a subfolder is a defect type, images beside them are "defective".
        masks: their masks, paired by name as in a data set (``truth.pair``).
        bad_option: the option that names ``bad``, for messages.

    Returns:
        a category without training images, whose test images are these.

    Raises:
        DmddError: neither is given, one does not exist or holds no image, they overlap, or a subfolder's name
            says the opposite of where it is.
    """
    folders = [folder.absolute() for folder in (good, bad) if folder is not None]
    if not folders:
        raise OptionError("There are no images to evaluate.", f"Give --good DIR, {bad_option} DIR or both.")
    if masks is not None and bad is None:
        raise OptionError(
            "--masks is given without --bad.", "Give --bad DIR, the images that the masks belong to."
        )
    if len(folders) == 2 and (folders[0].is_relative_to(folders[1]) or folders[1].is_relative_to(folders[0])):
        raise OptionError(f"--good {good} and {bad_option} {bad} overlap.", "Give two folders side by side.")
    category = Category(name, folders[0], "folders", [], [])
    if good is not None:
        directories = _directories(category, good, None, "--good", Role.BAD)
        # A word that all names share is the part's.
        differ = any(directory.named_by_files is None for directory in directories)
        for directory in directories:
            for path in directory.images:
                if (
                    differ
                    and directory.named_by_files is not None
                    and directory.named_by_files[1] != EMPTY_MASK
                ):
                    category.skip(
                        path, f"the file says that the part is defective {directory.named_by_files[1]}"
                    )
                else:
                    category.test.append(TestImage(path, GOOD, None))
    if bad is not None:
        _add_defective(category, bad, masks, bad_option)
    return category


def groups(category: Category, good: Path | None) -> dict[Path, str]:
    """By image: its defect type; for a good one "good" and its subfolder."""
    found = {}
    for item in category.test:
        inside = () if good is None or not item.is_good else item.path.relative_to(good).parts[:-1]
        found[item.path] = "/".join((item.defect, *inside[:1]))
    return found


def _add_defective(category: Category, bad: Path, masks: Path | None, option: str) -> None:
    directories = _directories(category, bad, masks, option, Role.GOOD)
    images = [path for directory in directories for path in directory.images]
    if masks is None:
        marks = [Placed(path, _keys(path, bad)) for directory in directories for path in directory.masks]
    else:
        given = _directories(category, masks, None, "--masks", None)
        marks = [Placed(path, _keys(path, masks)) for directory in given for path in directory.images]
    pairing = pair([Placed(path, _keys(path, bad)) for path in images], marks)
    for path in images:
        inside = path.relative_to(bad).parts[:-1]
        own = pairing.masks.get(path, ())
        if marks and not own:
            category.notes.append((path, "no mask: counts for image-level metrics only"))
        category.test.append(
            TestImage(path, inside[0] if inside else "defective", own[0] if own else None, own[1:])
        )
    category.notes.extend(pairing.left_over)


def _directories(
    category: Category, folder: Path, without: Path | None, option: str, opposite: Role | None
) -> list[Directory]:
    """The folders with images; what is left out of them is noted in the category."""
    if not folder.is_dir():
        raise DataError(f"{option} {folder}: there is no such folder.", "Check the path.")
    tree = walk(folder) if opposite is None else refine(walk(folder))
    for path, reason in tree.problems:
        category.skip(path, reason)
    found = []
    for directory in tree.directories:
        place = folder.joinpath(*directory.parts)
        if without is not None and place.absolute().is_relative_to(without.absolute()):
            continue
        roles = [role_of(part) for part in directory.parts]
        if Role.JUNK in roles:
            _leave(category, directory, "made by another program, not by the camera")
        elif opposite is not None and Role.TRUTH in roles:
            _leave(category, directory, "the folder's name says that it holds masks; give it with --masks")
        elif directory.images:
            found.append(directory)
        for suffix, number in directory.other_images.items():
            category.skip(place, f"{number} {suffix} not read; convert to png")
    if not found:
        raise DataError(f"{option} {folder} holds no images.", "Put images there (png, jpg, bmp, tif).")
    for directory in found if opposite is not None else []:
        wrong = [part for part in directory.parts if role_of(part) is opposite]
        if wrong:
            raise DataError(
                f"{option} {folder} holds a folder {wrong[0]!r}, whose name says the opposite.",
                f"Give {option} the folder of {'good' if opposite is Role.BAD else 'defective'} parts only.",
            )
    return found


def _leave(category: Category, directory: Directory, reason: str) -> None:
    for path in directory.images:
        category.skip(path, reason)


def _keys(path: Path, root: Path) -> tuple[str, ...]:
    return tuple(plain(part) for part in path.relative_to(root).parts[:-1])
