"""Data set layouts: MVTec AD, BTAD, MPDD, and a plain folder of good images. Detected, never asked for.

=========  ==================  ============================================  ================================
layout     good images         test images                                   masks
=========  ==================  ============================================  ================================
mvtec      train/good          test/good, test/<defect>                      ground_truth/<defect>/<stem>_mask
mpdd       as mvtec; told apart by the category's name
btad       train/ok            test/ok, test/ko                              ground_truth/ko/<stem>
folder     the folder itself   none                                          none
=========  ==================  ============================================  ================================

A mask may have any image suffix, and its name may be the image's with or without ``_mask``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.images import IMAGE_SUFFIXES, list_images, natural_key, read_image

GOOD = "good"
_GOOD_NAMES = ("good", "ok")
_MPDD = ("bracket_black", "bracket_brown", "bracket_white", "connector", "metal_plate", "tubes")


@dataclass(frozen=True)
class TestImage:
    """A test image.

    Attributes:
        path: the image file.
        defect: "good", or the defect type (the name of the image's folder).
        mask: the mask's file; None for a good image, and for a defective one whose mask is missing.
    """

    __test__ = False  # pytest would take the class for a test

    path: Path
    defect: str
    mask: Path | None

    @property
    def is_good(self) -> bool:
        """Whether the image shows a good part."""
        return self.defect == GOOD

    @property
    def has_mask(self) -> bool:
        """Whether its pixels' truth is known; a good image's is. Without it, no pixel metrics from it."""
        return self.is_good or self.mask is not None


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
        notes: files used with a reservation, and which: a defective image without a mask counts for the
            image-level metrics only.
    """

    name: str
    root: Path
    layout: str
    train: list[Path]
    test: list[TestImage]
    skipped: list[tuple[Path, str]] = field(default_factory=list)
    notes: list[tuple[Path, str]] = field(default_factory=list)

    @property
    def defects(self) -> list[str]:
        """The defect types among the test images, without "good"."""
        return list(dict.fromkeys(image.defect for image in self.test if not image.is_good))

    def skip(self, path: Path, reason: str) -> None:
        """Note a file that could not be used; fits `read_images`' on_error.

        A reason that begins with the file's own path, as the errors of reading do, is kept without it.
        """
        self.skipped.append((path, reason.removeprefix(f"{path}: ")))

    def require_test(self) -> None:
        """Raise DmddError when there is nothing to evaluate on; such a category can still be trained."""
        if not self.test:
            raise DmddError(
                f"category {self.name} ({self.root}) has no test images, so there is nothing to evaluate",
                fix="put some into test/good and test/<defect>, masks into ground_truth/<defect>",
            )

    def describe(self) -> str:
        """One line for a person: name, layout, counts, and how many files were skipped or lack a mask."""
        good = sum(image.is_good for image in self.test)
        text = f"{self.name}: {self.layout} layout, {len(self.train)} good images to train on"
        if self.test:
            bad = len(self.test) - good
            text += f", {good} good and {bad} defective in {len(self.defects)} types to test on"
        else:
            text += ", no test images"
        if self.notes:
            text += f"; {summarise(self.notes)}"
        return f"{text}; {summarise(self.skipped)}" if self.skipped else text


def load_category(root: str | Path, category: str | None = None) -> Category:
    """Find the files of a category and tell the layout.

    Args:
        root: a data set's folder, a category's folder, or a plain folder of good images.
        category: a subfolder's name; None when root is itself the category or holds just one. A plain
            folder given as root takes this as its name, else its own.

    Raises:
        DmddError: when root does not exist, the category is unknown or left open (naming those found), or
            it has no training images.
    """
    root = Path(root)
    if not root.is_dir():
        raise DmddError(f"{root}: no such folder", fix="give the data set's folder with --data")
    if category is not None and _kind(root / category) is not None:
        return _load(root / category, category)
    own, found = _kind(root), list_categories(root)
    structured = [name for name in found if _kind(root / name) != "folder"]
    if own not in (None, "folder") and category in (None, root.resolve().name):
        return _load(root, root.resolve().name)
    if own == "folder" and not structured and (category is None or not found):
        return _load(root, category or root.resolve().name)
    if category is None and len(structured) == 1:
        # A lone subfolder of images is not chosen unasked: it may be anything.
        return _load(root / structured[0], structured[0])
    if category is not None and found:
        raise DmddError(
            f"{root}: no category {category!r}; found: {', '.join(found)}",
            fix="choose one of these with --category",
        )
    if found:
        raise DmddError(
            f"{root}: categories found: {', '.join(found)}", fix="choose one of these with --category"
        )
    raise DmddError(
        f"{root}: no category and no images found" + (f" (looked for {category})" if category else ""),
        fix="give a folder with train/good (MVTec AD, MPDD), train/ok (BTAD), or good images themselves",
    )


def list_categories(root: str | Path) -> list[str]:
    """Name the categories under a folder, in natural order.

    Subfolders in one of the data sets' layouts; when there is none, subfolders that hold images.

    Raises:
        DmddError: when root does not exist.
    """
    root = Path(root)
    if not root.is_dir():
        raise DmddError(f"{root}: no such folder", fix="give the data set's folder with --data")
    folders = sorted(
        (f for f in root.iterdir() if f.is_dir() and not f.name.startswith(".")), key=natural_key
    )
    kinds = {f.name: _kind(f) for f in folders}
    structured = [name for name, kind in kinds.items() if kind not in (None, "folder")]
    return structured or [name for name, kind in kinds.items() if kind == "folder" and name not in _RESERVED]


def read_images(
    paths: Iterable[Path], on_error: Callable[[Path, str], None]
) -> Iterator[tuple[Path, NDArray[np.uint8]]]:
    """Read images one by one, passing over broken ones.

    Args:
        paths: the files.
        on_error: called with the path and the reason for each file that cannot be read; `Category.skip` fits.

    Yields:
        path and image, uint8 H x W x 3 BGR.
    """
    for path in paths:
        try:
            image = read_image(path)
        except DmddError as error:
            on_error(path, error.message.removeprefix(f"{path}: "))
            continue
        yield path, image


def summarise(files: list[tuple[Path, str]], shown: int = 3) -> str:
    """Say in one clause which files were skipped or noted: the count, the first few names, their reasons."""
    listed = ", ".join(f"{path.parent.name}/{path.name} ({reason})" for path, reason in files[:shown])
    more = f" and {len(files) - shown} more" if len(files) > shown else ""
    return f"{len(files)} file{'s' if len(files) != 1 else ''}: {listed}{more}"


_RESERVED = ("train", "test", "ground_truth", "good", "ok", "bad", "ko")


def _has_images(folder: Path) -> bool:
    return folder.is_dir() and any(f.name.lower().endswith(IMAGE_SUFFIXES) for f in folder.iterdir())


def _kind(folder: Path) -> str | None:
    """The layout of a category's folder, or None when it is not one."""
    if (folder / "train" / "ok").is_dir():
        return "btad"
    if (folder / "train" / "good").is_dir():
        return "mpdd" if folder.resolve().name in _MPDD else "mvtec"
    return "folder" if _has_images(_folder_of_good(folder)) else None


def _folder_of_good(folder: Path) -> Path:
    """Where a plain folder keeps its good images: in itself, or in good/ or ok/ beside others."""
    return next((folder / name for name in _GOOD_NAMES if _has_images(folder / name)), folder)


def _load(folder: Path, name: str) -> Category:
    layout = _kind(folder) or "folder"
    if layout == "folder":
        good = _folder_of_good(folder)
    else:
        good = folder / "train" / ("ok" if layout == "btad" else "good")
    category = Category(name, folder, layout, [], [])
    category.train.extend(_usable(good, category))
    if not category.train:
        raise DmddError(
            f"{good}: no training images", fix="put images of good parts there (png, jpg, bmp, tif)"
        )
    if layout != "folder" and (folder / "test").is_dir():
        kinds = sorted((f for f in (folder / "test").iterdir() if f.is_dir()), key=natural_key)
        for kind in sorted(kinds, key=lambda f: f.name not in _GOOD_NAMES):
            _add_test(category, kind)
    return category


def _add_test(category: Category, folder: Path) -> None:
    good = folder.name in _GOOD_NAMES
    masks = {} if good else _masks(category.root / "ground_truth" / folder.name)
    for path in _usable(folder, category):
        mask = masks.get(path.stem) or masks.get(f"{path.stem}_mask")
        if mask is None and not good:
            category.notes.append((path, "no mask: counts for image-level metrics only"))
        category.test.append(TestImage(path, GOOD if good else folder.name, mask))


def _masks(folder: Path) -> dict[str, Path]:
    return {path.stem: path for path in list_images(folder)} if folder.is_dir() else {}


def _usable(folder: Path, category: Category) -> list[Path]:
    """The images of a folder; empty files, which cost nothing to find, are skipped here already."""
    paths = []
    for path in list_images(folder):
        if path.stat().st_size == 0:
            category.skip(path, "the file is empty (0 bytes)")
        else:
            paths.append(path)
    return paths
