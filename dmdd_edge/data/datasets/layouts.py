"""Find a category in a folder and tell its layout."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.data.datasets.build import build
from dmdd_edge.data.datasets.category import Category
from dmdd_edge.data.datasets.refuse import refuse_for_training
from dmdd_edge.data.datasets.remarks import count
from dmdd_edge.data.datasets.roles import SPLITS, Role, role_of
from dmdd_edge.data.datasets.walk import image_names, other_images, subfolders
from dmdd_edge.data_address import DataPlace, is_address
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.messages.suggest import did_you_mean, neighbor
from dmdd_edge.messages.text import is_plain_name

#: How deep the probes for images look; a category's images are found at any depth.
_DEPTH = 6


def load_category(root: DataPlace, category: str | None = None, *, for_training: bool = True) -> Category:
    """Find the files of a category and tell the layout.

    Args:
        root: a data set's folder, a category's folder, or a plain folder of good images; or the address of
            one in a store, such as ``s3://plant/mvtec``, whose category is copied here first.
        category: a subfolder's name; None when root is itself the category or holds just one. A plain
            folder given as root takes this as its name, else its own.
        for_training: whether it must have training images; without, test images will do.

    Raises:
        DmddError: when root does not exist or cannot be read, the category is unknown or left open (naming
            those found), the folder holds test images or masks, or it has no training images.
    """
    if isinstance(root, str) and is_address(root):
        folder, name = _copied(root, category, for_training)
        return build(folder, name, for_training)
    root = Path(root)
    require_folder(root)
    folder, name = _choose(root, category, for_training)
    refuse_for_training(folder)
    return build(folder, name, for_training)


def list_categories(root: DataPlace, *, several: bool = False) -> list[str]:
    """Name the categories under a folder or an address, in natural order; no image is read.

    Subfolders in one of the data sets' layouts; without any, subfolders that hold images and whose names say
    nothing about the parts in them.

    Args:
        root: the data set.
        several: refuse a folder that is itself a category, whose subfolders would be taken for categories.

    Raises:
        DmddError: when root does not exist or cannot be read, or is itself a category.
    """
    if isinstance(root, str) and is_address(root):
        from dmdd_edge.data.datasets.copies import StoredSet

        with StoredSet(root).outline() as outline:
            return _categories(outline, several, root)
    root = Path(root)
    require_folder(root)
    return _categories(root, several, str(root))


def require_category(root: Path, category: str) -> None:
    """Raise DmddError where a data set has no folder by a category's name; what is in it is not looked at."""
    require_folder(root)
    if not (root / category).is_dir():
        _choose(root, category, for_training=True)


def _categories(root: Path, several: bool, shown: str) -> list[str]:
    folders = subfolders(root)
    labeled = [folder.name for folder in folders if _is_labeled(folder)]
    own = Role.TRAIN in {role_of(folder.name) for folder in folders} or (not labeled and _is_labeled(root))
    if several and own:
        raise DataError(
            f"{shown} is one category, not a folder of several: it holds good parts itself.",
            fix="Train it without --all, or give the folder above.",
        )
    return labeled or [
        folder.name for folder in folders if role_of(folder.name) is Role.OTHER and _holds_images(folder)
    ]


def require_folder(root: Path) -> None:
    """Raise DmddError when there is no such folder or it cannot be read, with the reason."""
    try:
        next(root.iterdir(), None)
    except NotADirectoryError:
        raise DataError(f"{root}: not a folder.", fix="Give the folder that holds the images.") from None
    except FileNotFoundError:
        meant = neighbor(root)
        raise DataError(
            f"{root}: no such folder.",
            fix=f"{meant} Check the path, or give the place of the data with --data DIR.".lstrip(),
        ) from None
    except OSError as error:
        raise DataError(
            f"{root}: cannot be read ({error.strerror or error}).",
            fix="Check the folder and its permissions.",
        ) from None


def _copied(address: str, category: str | None, for_training: bool) -> tuple[Path, str]:
    """The copy of a category from a store, and its name; nothing else of the set is copied."""
    from dmdd_edge.data.datasets.copies import StoredSet

    stored = StoredSet(address)
    if category is not None and is_plain_name(category):
        # One category is listed in a moment, all of a large set are not.
        with stored.outline(category) as root:
            folder = root / category
            if _is_labeled(folder) or _holds_images(folder):
                refuse_for_training(folder)
                return stored.copied(category), category
    with stored.outline(every=True) as root:
        folder, name = _choose(root, category, for_training)
        refuse_for_training(folder)
        below = folder.relative_to(root).as_posix()
    return stored.copied("" if below == "." else below), name


def _choose(root: Path, category: str | None, for_training: bool) -> tuple[Path, str]:
    """The category's folder and name."""
    if category is not None and (_is_labeled(root / category) or _holds_images(root / category)):
        return root / category, category
    own = root.resolve().name
    if not for_training and category in (None, own) and _has(root, Role.TEST):
        return root, own
    if _has(root, Role.TRAIN) or (_is_labeled(root) and category is None):
        if category in (None, own):
            return root, own
        raise DataError(
            f"{root}: no category {category!r}; the folder is itself the category {own!r}.",
            fix=f"Choose --category {own}, or leave --category out.",
        )
    found = list_categories(root)
    labeled = [name for name in found if _is_labeled(root / name)]
    if (_is_labeled(root) or _has_plain_images(root)) and not labeled:
        return root, category or own
    if category is None and len(labeled) == 1:
        # A lone subfolder of images is not chosen unasked: it may be anything.
        return root / labeled[0], labeled[0]
    inside = subfolders(root)
    if category is None and len(inside) == 1 and any(map(_is_labeled, subfolders(inside[0]))):
        return _choose(
            inside[0], None, for_training
        )  # an archive that was unpacked into a folder of the same name
    refuse_for_training(root)
    raise _no_category(root, category, found, labeled)


def _no_category(root: Path, category: str | None, found: list[str], labeled: list[str]) -> DmddError:
    listed = ", ".join(found)
    if category is not None and found:
        meant = did_you_mean(category, found)
        return DataError(
            f"{root}: no category {category!r}; found: {listed}.",
            fix=f"{meant} Choose one of these with --category.".lstrip(),
        )
    if labeled:
        return DataError(f"{root}: categories found: {listed}.", fix="Choose one of these with --category.")
    if found:
        counted = ", ".join(f"{name} ({count(_images_below(root / name), 'image')})" for name in found)
        return DataError(
            f"{root}: no folder is named good, and these hold images: {counted}.",
            fix="Choose one that holds good parts only with --category, or move the good images into "
            f"{root / 'good'}.",
        )
    kinds = ", ".join(count(number, f"{suffix} file") for suffix, number in other_images(root).items())
    return DataError(
        f"{root}: no category and no images found"
        + (f" (looked for {category})" if category else "")
        + (f"; it holds {kinds}, which cannot be read." if kinds else "."),
        fix=f"Convert them to PNG: {root}"
        if kinds
        else "Give a folder with train/good (MVTec AD, MPDD), train/ok (BTAD), or good images themselves.",
    )


def _has(folder: Path, role: Role) -> bool:
    """Whether a folder of a role is in it, at once or below folders that only group."""
    return any(
        role_of(child.name) is role or (role_of(child.name) is Role.GROUP and _has(child, role))
        for child in subfolders(folder)
    )


def _is_labeled(folder: Path, depth: int = _DEPTH) -> bool:
    """Whether its subfolders say by their names which images are good."""
    for child in subfolders(folder):
        role = role_of(child.name)
        if role is Role.TRAIN:
            return True
        if role is Role.GOOD and _holds_images(child) and not _is_data_set(child):
            return True
        if role is Role.GROUP and depth and _is_labeled(child, depth - 1):
            return True
    return False


def _is_data_set(folder: Path) -> bool:
    """Whether a folder is a separate data set, whatever its name: its splits separate good from defective."""
    inside = {role_of(child.name): child for child in subfolders(folder)}
    if Role.TRAIN not in inside:
        return False
    named = [role_of(child.name) for role in SPLITS if role in inside for child in subfolders(inside[role])]
    return any(role is not Role.GROUP for role in named)


def _has_plain_images(folder: Path, depth: int = _DEPTH) -> bool:
    """Whether it holds images itself, or below folders that only group them."""
    return next(image_names(folder), None) is not None or any(
        depth and role_of(child.name) is Role.GROUP and _has_plain_images(child, depth - 1)
        for child in subfolders(folder)
    )


def _holds_images(folder: Path, depth: int = _DEPTH) -> bool:
    return next(image_names(folder), None) is not None or any(
        depth and _holds_images(child, depth - 1) for child in subfolders(folder)
    )


def _images_below(folder: Path, depth: int = _DEPTH) -> int:
    own = sum(1 for _ in image_names(folder))
    return own + sum(_images_below(child, depth - 1) for child in subfolders(folder) if depth)
