"""Which source a user means."""

from __future__ import annotations

import glob
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.images import IMAGE_SUFFIXES, list_images, natural_key
from dmdd_edge.runtime.sources.base import Source
from dmdd_edge.runtime.sources.files import ImageFiles
from dmdd_edge.runtime.sources.video import VIDEO_SUFFIXES, VideoFile

_ALLOWED = (
    "A source is an image or a video file, a folder, or a glob in quotes. "
    f"Images: {', '.join(IMAGE_SUFFIXES)}."
)


def open_source(source: str, every: int = 1, save: Path | None = None) -> Source:
    """The source that a user named.

    Args:
        source: an image, a video file, a folder (its subfolders included), or a glob (``**`` included).
        every: take only each ``every``-th frame.
        save: where overlays go. Images under it are left out, since an earlier run wrote them.

    Raises:
        DmddError: nothing is there, nothing that can be read, or ``save`` is where the source lies.
    """
    if every < 1:
        raise DmddError(f"--every is {every}; it must be at least 1.", "1 takes every frame.")
    opened = _open(source, every, save)
    if save is not None and save.resolve() == opened.root.resolve():
        raise DmddError(f"--save {save} is where the source lies.", "Name another folder, for example out/.")
    return opened


def _open(source: str, every: int, save: Path | None) -> Source:
    path = Path(source)
    if path.is_dir():
        return ImageFiles(_found(list_images(path, recursive=True), source, path, save), path, every)
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return VideoFile(path, every)
        if suffix in IMAGE_SUFFIXES:
            return ImageFiles([path], path.parent)
        raise DmddError(f"{source} is neither an image nor a video.", _ALLOWED)
    if glob.has_magic(source):
        # pathlib's glob would not take an absolute pattern, nor one that leaves the folder with ..
        paths = [Path(name) for name in glob.glob(source, recursive=True)]  # noqa: PTH207
        files = [p for p in paths if p.suffix.lower() in IMAGE_SUFFIXES and p.is_file()]
        root = _glob_root(source)
        return ImageFiles(_found(sorted(files, key=natural_key), source, root, save), root, every)
    raise DmddError(f"there is nothing at {source}.", _ALLOWED)


def _found(paths: list[Path], source: str, root: Path, save: Path | None) -> list[Path]:
    if (
        save is not None
        and save.resolve() != root.resolve()
        and save.resolve().is_relative_to(root.resolve())
    ):
        away = save.resolve()
        paths = [path for path in paths if not path.resolve().is_relative_to(away)]
    if not paths:
        raise DmddError(f"there is no image in {source}.", _ALLOWED)
    return paths


def _glob_root(pattern: str) -> Path:
    """The folder above the first part of a glob that has a wildcard."""
    parts = Path(pattern).parts
    first = next(i for i, part in enumerate(parts) if glob.has_magic(part))
    return Path(*parts[:first])
