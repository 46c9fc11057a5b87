"""Open a source of files."""

from __future__ import annotations

import glob
import os
from collections import Counter
from pathlib import Path

from dmdd_edge.data.images import (
    IMAGE_SUFFIXES,
    describe_passed_over,
    kind_of_file,
    list_images,
    natural_key,
)
from dmdd_edge.errors import SourceError
from dmdd_edge.messages.suggest import neighbor
from dmdd_edge.outside_files import kind_of
from dmdd_edge.runtime.sources.base import Source
from dmdd_edge.runtime.sources.files import ImageFiles, is_under
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.path_list import PathList, standard_input
from dmdd_edge.runtime.sources.source_kinds import ALLOWED
from dmdd_edge.runtime.sources.video import VIDEO_SUFFIXES, VideoFile


def open_files(source: str, options: SourceOptions) -> Source:
    """An image, a video file, a folder with its subfolders, a glob, or ``-`` for paths on standard input.

    Raises:
        SourceError: the source does not exist, or contains no images.
    """
    path, every, written = Path(source), options.every, options.written
    passed_over: Counter[str] = Counter()
    if source == "-":
        return PathList(standard_input(), every, written)
    if path.is_dir():
        images = _unwritten(list_images(path, True, passed_over), source, path, written, passed_over)
        return ImageFiles(images, path, every, source, passed_over)
    if path.is_file():
        suffix = path.suffix.lower()
        if suffix in VIDEO_SUFFIXES:
            return VideoFile(path, every)
        if suffix in IMAGE_SUFFIXES:
            return ImageFiles([path], path.parent, name=source)
        raise SourceError(f"{source} is neither an image nor a video.", ALLOWED)
    if path.is_symlink() and not path.exists():
        raise SourceError(f"{source} is a link to a file that does not exist.", ALLOWED)
    if path.exists():
        raise SourceError(f"{source} is {kind_of(path.stat().st_mode)}, not an image or a video.", ALLOWED)
    if glob.has_magic(source):
        root, pattern = _split_glob(source)
        files = []
        # pathlib's glob rejects an absolute pattern, and one that leaves the folder with ..
        for name in glob.glob(pattern, recursive=True):  # noqa: PTH207
            if os.path.isdir(name):  # noqa: PTH112
                # With ** every folder on the way matches too, and its files match themselves.
                passed_over["folder"] += "**" not in pattern
            elif name.lower().endswith(IMAGE_SUFFIXES):
                files.append(Path(name))
            else:
                passed_over[kind_of_file(name)] += 1
        images = _unwritten(sorted(files, key=natural_key), source, root, written, +passed_over)
        return ImageFiles(images, root, every, source, +passed_over)
    raise SourceError(f"{source} does not exist.", f"{neighbor(path)} {ALLOWED}".lstrip())


def _unwritten(
    paths: list[Path], source: str, root: Path, written: tuple[Path, ...], passed_over: Counter[str]
) -> list[Path]:
    """The images that no run wrote; the rest is counted."""
    inside = [folder for folder in written if folder.resolve() != root.resolve() and is_under(folder, [root])]
    if inside:
        images = [path for path in paths if not is_under(path, inside)]
        if len(images) < len(paths):
            passed_over["written by a run"] += len(paths) - len(images)
        paths = images
    if not paths:
        skipped = f" (skipped: {describe_passed_over(passed_over)})" if passed_over else ""
        raise SourceError(f"{source} contains no images{skipped}.", ALLOWED)
    return paths


def _split_glob(source: str) -> tuple[Path, str]:
    """The folder that a glob starts from, and the pattern.

    An existing folder is taken literally, whatever characters its name has: in ``lot[1]/*.png`` the folder
    ``lot[1]`` if it exists.
    """
    parts = Path(source).parts
    known = 0
    while known < len(parts) - 1 and Path(*parts[: known + 1]).is_dir():
        known += 1
    root = Path(*parts[:known])
    rest = os.path.join(*parts[known:])  # noqa: PTH118
    return root, os.path.join(glob.escape(str(root)), rest) if known else rest  # noqa: PTH118
