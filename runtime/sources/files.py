"""Image files: a single one, a folder with its subfolders, or a glob."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path

import numpy as np

from dmdd_edge.data.decoding import Decoded, read_file
from dmdd_edge.data.images import checked, to_uint8
from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import FileProgress


class ImageFiles(FileProgress):
    """Image files, read one at a time.

    Args:
        paths: the files, in reading order.
        root: the folder that their names are relative to.
        every: read only every ``every``-th file, beginning with the first.
        name: for a person; the root if omitted.
        passed_over: skipped files; see ``SourceState``.
        names: the frames' names; paths relative to the root if omitted.
    """

    def __init__(
        self,
        paths: list[Path],
        root: Path,
        every: int = 1,
        name: str = "",
        passed_over: Mapping[str, int] | None = None,
        names: list[str] | None = None,
    ) -> None:
        super().__init__(name or str(root), passed_over=passed_over)
        self.paths = paths[::every]
        self.root = root
        self.total: int | None = len(self.paths)
        self._names = None if names is None else names[::every]

    @property
    def names(self) -> Iterator[str]:
        """The names of the frames to come, so that a run can check in advance what it would write."""
        if self._names is not None:
            return iter(self._names)
        return (path.relative_to(self.root).as_posix() for path in self.paths)

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        for index, (path, name) in enumerate(zip(self.paths, self.names, strict=True)):
            if self._stopped.is_set():
                return
            if self.skip(str(path), index):
                continue
            frame = read_frame(path, name, index, self.bits)
            self._note(frame)
            yield frame


def read_frame(path: Path, name: str, index: int, bits: int = 16) -> Frame | BrokenFrame:
    """Read an image file as a frame, or a broken one if it cannot be read; ``bits`` as of a source."""
    return frame_of_file(lambda: read_file(path), str(path), name, index, bits)


def frame_of_file(
    read: Callable[[], Decoded], source: str, name: str, index: int, bits: int
) -> Frame | BrokenFrame:
    """``read_frame`` of a file that ``read`` reads, wherever it is."""
    start = time.perf_counter()
    try:
        file = checked(read(), source)
    except DmddError as error:
        return BrokenFrame(source, index, error)
    peak = int(file.image.max()) if file.image.dtype == np.uint16 else None
    image = to_uint8(file.image, bits)
    elapsed = 1000 * (time.perf_counter() - start)
    return Frame(image, source, name, index, time.time(), elapsed, peak=peak, more=file.header.more)


def is_under(path: Path, folders: Iterable[Path]) -> bool:
    """Whether a file is in one of these folders or below it, following links."""
    try:
        whole = path.resolve()
    except ValueError:  # a NUL character; reading the file reports it
        return False
    return any(whole.is_relative_to(folder.resolve()) for folder in folders)
