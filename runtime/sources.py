"""Where frames come from: an image, a folder with its subfolders, a glob, a video file."""

from __future__ import annotations

import glob
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Protocol

import cv2
import numpy as np

from dmdd_edge.errors import DmddError
from dmdd_edge.images import IMAGE_SUFFIXES, list_images, natural_key, read_image
from dmdd_edge.runtime.frame import BrokenFrame, Frame

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")

_ALLOWED = (
    "A source is an image or a video file, a folder, or a glob in quotes. "
    f"Images: {', '.join(IMAGE_SUFFIXES)}."
)


class Source(Protocol):
    """Delivers frames in order, each one once; iterate over it once.

    Attributes:
        total: how many frames there will be, or None when that is not known.
        root: the folder that frames' names are relative to.
    """

    total: int | None
    root: Path

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        """Read frame by frame; what cannot be read comes as a ``BrokenFrame``."""
        ...


class ImageFiles:
    """Image files, read one at a time.

    Args:
        paths: the files, in the order in which they are read.
        root: the folder that their names are relative to.
        every: only each ``every``-th file is read, the first one included.
    """

    def __init__(self, paths: list[Path], root: Path, every: int = 1) -> None:
        self._paths = paths[::every]
        self.root = root
        self.total: int | None = len(self._paths)

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        for index, path in enumerate(self._paths):
            start = time.perf_counter()
            try:
                image = read_image(path)
            except DmddError as error:
                yield BrokenFrame(str(path), index, error)
                continue
            name = path.relative_to(self.root).as_posix()
            elapsed = 1000 * (time.perf_counter() - start)
            yield Frame(image, str(path), name, index, time.time(), elapsed)


class VideoFile:
    """The frames of a video file, each one, however long they take to judge.

    Args:
        path: the file.
        every: only each ``every``-th frame is decoded, the first one included.

    Raises:
        DmddError: OpenCV cannot open it, or there is no frame in it.
    """

    def __init__(self, path: Path, every: int = 1) -> None:
        self._path, self._every = path, every
        self.root = path.parent
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened() or not self._capture.grab():
            raise DmddError(
                f"{path} cannot be read as a video.",
                "Check that it plays, or convert it: ffmpeg -i IN -c:v libx264 OUT.mp4",
            )
        # The container's count is an estimate for some formats: good for a progress bar, not for a promise.
        frames = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total: int | None = -(-frames // every) if frames > 0 else None

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        number, index, grabbed = 0, 0, True  # the first frame was grabbed to see whether there is one
        try:
            while grabbed:
                if number % self._every == 0:
                    start = time.perf_counter()
                    done, image = self._capture.retrieve()
                    if done:
                        elapsed = 1000 * (time.perf_counter() - start)
                        name = f"{self._path.name}/frame-{number:06d}"
                        bgr = np.asarray(image, dtype=np.uint8)
                        yield Frame(bgr, str(self._path), name, index, time.time(), elapsed)
                    else:
                        error = DmddError(f"{self._path}: frame {number} cannot be decoded.")
                        yield BrokenFrame(str(self._path), index, error)
                    index += 1
                grabbed = self._capture.grab()
                number += 1
        finally:
            self._capture.release()


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
