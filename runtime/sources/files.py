"""Image files: one, a folder of them with its subfolders, what a glob finds."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

from dmdd_edge.errors import DmddError
from dmdd_edge.images import read_image
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import FileProgress


class ImageFiles(FileProgress):
    """Image files, read one at a time.

    Args:
        paths: the files, in the order in which they are read.
        root: the folder that their names are relative to.
        every: only each ``every``-th file is read, the first one included.
        name: what a person calls them; the root when it is left out.
    """

    def __init__(self, paths: list[Path], root: Path, every: int = 1, name: str = "") -> None:
        super().__init__(name or str(root))
        self._paths = paths[::every]
        self.root = root
        self.total: int | None = len(self._paths)

    @property
    def names(self) -> Iterator[str]:
        """The names of the frames to come, so that a run can see beforehand what it would write."""
        return (path.relative_to(self.root).as_posix() for path in self._paths)

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        for index, path in enumerate(self._paths):
            if self._stopped.is_set():
                return
            if self.skip(str(path), index):
                continue
            frame = read_frame(path, path.relative_to(self.root).as_posix(), index)
            self._note(frame)
            yield frame


def read_frame(path: Path, name: str, index: int) -> Frame | BrokenFrame:
    """Read an image file as a frame, or as a broken one when it cannot be read."""
    start = time.perf_counter()
    try:
        image = read_image(path)
    except DmddError as error:
        return BrokenFrame(str(path), index, error)
    elapsed = 1000 * (time.perf_counter() - start)
    return Frame(image, str(path), name, index, time.time(), elapsed)


def is_under(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a file lies in one of these folders or below it, links followed."""
    whole = path.resolve()
    return any(whole.is_relative_to(folder.resolve()) for folder in folders)
