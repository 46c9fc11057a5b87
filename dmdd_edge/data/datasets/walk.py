"""Walk a folder: its images, folder by folder, and what could not be looked at."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from dmdd_edge.data.datasets.roles import Role, names_of, role_of
from dmdd_edge.data.images import IMAGE_SUFFIXES, natural_key

#: How often a folder that several links lead to is entered; links across each other would multiply.
_VISITS = 8
#: The longest Git LFS pointer, in bytes, and how it begins.
_POINTER_BYTES, _POINTER = 1024, b"version https://git-lfs.github.com/spec/"
#: Kinds of images that are not read; other files (notes, annotations) are not images at all.
_OTHER_IMAGE = re.compile(
    r"\.(webp|heic|heif|gif|avif|jp2|j2k|jxl|p[gpn]m|tga|exr|dng|cr[23]|nef|arw|raf|raw)"
)


@dataclass
class Directory:
    """A folder that holds images.

    Attributes:
        parts: its path below the walk's root, name by name; empty for the root itself.
        images: its usable image files, in natural order.
        others: how many files of other kinds it holds, by suffix.
        masks: of its image files those that are masks of others beside them, and whose.
        named_by_files: what the files indicate (``evidence``): a folder's name, and how it is shown.
    """

    parts: tuple[str, ...]
    images: list[Path] = field(default_factory=list)
    others: Counter[str] = field(default_factory=Counter)
    masks: dict[Path, Path] = field(default_factory=dict)
    named_by_files: tuple[str, str] | None = None

    @property
    def names(self) -> list[tuple[str, tuple[str, ...]]]:
        """The names on the way to it, each with the part of the path that it ends, as that is shown."""
        found = [
            (name, self.parts[: index + 1])
            for index, part in enumerate(self.parts)
            for name in names_of(part)
        ]
        if self.named_by_files is not None:
            found.append((self.named_by_files[0], (*self.parts, self.named_by_files[1])))
        return found

    @property
    def roles(self) -> list[Role]:
        """The roles of these names."""
        return [role_of(name) for name, _ in self.names]

    @property
    def other_images(self) -> dict[str, int]:
        """How many images of kinds that are not read, by suffix."""
        return {suffix: number for suffix, number in self.others.items() if _OTHER_IMAGE.fullmatch(suffix)}


@dataclass
class Tree:
    """A walked folder.

    Attributes:
        directories: those that hold files, in natural order.
        problems: files and folders that cannot be used, and why.
    """

    directories: list[Directory] = field(default_factory=list)
    problems: list[tuple[Path, str]] = field(default_factory=list)


def walk(root: Path) -> Tree:
    """Walk a folder with its subfolders.

    Links are followed, except to a folder that the path has already passed through: a loop of links ends.
    Hidden files are left out. Of hidden folders and those that programs leave behind (thumbnails, recycle
    bins), the images are listed and the subfolders are not entered.
    """
    tree, visits = Tree(), Counter[tuple[int, int]]()
    waiting: list[tuple[tuple[str, ...], frozenset[tuple[int, int]]]] = [((), frozenset())]
    while waiting:
        parts, above = waiting.pop()
        folder = root.joinpath(*parts)
        try:
            status = folder.stat()
            own = (status.st_dev, status.st_ino)
            visits[own] += 1
            if own in above or visits[own] > _VISITS:
                continue
            with os.scandir(folder) as entries:
                found = sorted(entries, key=lambda entry: natural_key(Path(entry.name)))
        except OSError as error:
            tree.problems.append((folder, _reason("the folder", error)))
            continue
        directory = Directory(parts)
        folders = []
        junk = bool(parts) and role_of(parts[-1]) is Role.JUNK
        for entry in found:
            if _is_folder(entry):
                if not junk:
                    folders.append((*parts, entry.name))
            elif not entry.name.startswith("."):
                _take(Path(entry.path), directory, tree)
        if directory.images or directory.others:
            tree.directories.append(directory)
        waiting.extend((inner, above | {own}) for inner in reversed(folders))
    return tree


def image_names(folder: Path) -> Iterator[str]:
    """Names of a folder's own visible image files, in no order; none of a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                if _is_image(entry.name) and not _is_folder(entry):
                    yield entry.name
    except OSError:
        return


def other_images(folder: Path) -> dict[str, int]:
    """How many files of a folder, with its subfolders, are images of kinds that are not read, by suffix."""
    found: Counter[str] = Counter()
    for directory in walk(folder).directories:
        found.update(directory.other_images)
    return dict(found)


def subfolders(folder: Path) -> list[Path]:
    """A folder's own subfolders in natural order, without junk; none of a folder that cannot be read."""
    try:
        with os.scandir(folder) as entries:
            names = [entry.name for entry in entries if _is_folder(entry)]
    except OSError:
        return []
    return sorted((folder / name for name in names if role_of(name) is not Role.JUNK), key=natural_key)


def _is_image(name: str) -> bool:
    return not name.startswith(".") and name.lower().endswith(IMAGE_SUFFIXES)


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir()
    except OSError:  # a loop of links, a disk that fails
        return False


def _take(path: Path, directory: Directory, tree: Tree) -> None:
    """Add a file to its directory, or to the problems."""
    if not _is_image(path.name):
        directory.others[path.suffix.lower()] += 1
        return
    try:
        size = path.stat().st_size
        pointer = size <= _POINTER_BYTES and path.is_file() and _begins(path, _POINTER)
    except OSError as error:
        tree.problems.append((path, _reason("the link" if path.is_symlink() else "the file", error)))
        return
    if not path.is_file():
        tree.problems.append((path, "not a regular file"))
    elif size == 0:
        tree.problems.append((path, "the file is empty (0 bytes)"))
    elif pointer:
        tree.problems.append((path, "a Git LFS pointer, not the image itself; run: git lfs pull"))
    else:
        directory.images.append(path)


def _begins(path: Path, start: bytes) -> bool:
    with path.open("rb") as file:
        return file.read(len(start)) == start


def _reason(what: str, error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return f"{what} leads nowhere" if what == "the link" else f"{what} has disappeared"
    return f"{what} cannot be read ({error.strerror or error})"
