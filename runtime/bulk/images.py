"""Archived images, in a folder or in an object store: their names, and each of them as a frame."""

from __future__ import annotations

import os
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from dmdd_edge.data.decoding import Decoded, decode_bytes, largest_file
from dmdd_edge.data.images import IMAGE_SUFFIXES, kind_of_file
from dmdd_edge.errors import DataError, SourceError
from dmdd_edge.failures import storage_error
from dmdd_edge.fleet.address import check_address, local_folder
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import FileProgress
from dmdd_edge.runtime.sources.files import frame_of_file, read_frame

if TYPE_CHECKING:
    from dmdd_edge.fleet.fsspec_store import FsspecStore

#: Images of a store that are fetched at once by each process: one answer takes some 50 ms.
_FETCHED_AT_ONCE = 8


class Images(Protocol):
    """Where archived images are.

    Attributes:
        name: for people and for rows, without user and password.
        at_once: how many are read at once.
    """

    name: str
    at_once: int

    def names(self, passed_over: Counter[str], leave_out: Path | None = None) -> Iterator[str]:
        """The image files, relative with ``/``, one after the other, in no particular order.

        Args:
            passed_over: counts what is left out, as ``data.images.list_images`` does.
            leave_out: a folder that is skipped.

        Raises:
            DmddError: they cannot be listed.
        """

    def frame(self, name: str, index: int, bits: int) -> Frame | BrokenFrame:
        """One image; see ``sources.files.read_frame``."""


def open_images(source: str) -> Images:
    """Images below a folder or an address.

    Raises:
        DmddError: the address is wrong, a package for it is missing, or there is no such folder.
    """
    check_address(source)
    folder = local_folder(source)
    if folder is None:
        from dmdd_edge.fleet.fsspec_store import FsspecStore

        return StoreImages(FsspecStore(source))
    if folder.exists() and not folder.is_dir():
        raise SourceError(
            f"{folder} is a file; --source takes a folder of images.",
            f"Give the folder that holds it. For one image: {command('run', source=folder)}",
        )
    if not folder.is_dir():
        raise SourceError(f"There is no folder {folder}.", "Give --source DIR, or an address.")
    return FolderImages(folder.absolute())


class FolderImages:
    """Images below a folder; links to folders are not followed."""

    at_once = 1

    def __init__(self, root: Path) -> None:
        self._root = root
        self.name = str(root)

    def names(self, passed_over: Counter[str], leave_out: Path | None = None) -> Iterator[str]:
        """See ``Images``; what is in memory does not grow with the number of files."""
        skipped = None if leave_out is None else os.path.realpath(leave_out)
        folders = [""]
        while folders:
            folder = folders.pop()
            try:
                with os.scandir(self._root / folder) as entries:
                    for entry in entries:
                        path = f"{folder}{entry.name}"
                        if entry.name.startswith("."):
                            passed_over["hidden"] += 1
                        elif entry.is_dir(follow_symlinks=False):
                            if os.path.realpath(entry.path) != skipped:
                                folders.append(f"{path}/")
                        elif entry.name.lower().endswith(IMAGE_SUFFIXES):
                            yield path
                        elif entry.is_dir():
                            passed_over["linked folder"] += 1
                        else:
                            passed_over[kind_of_file(entry.name)] += 1
            except OSError as error:
                if not folder:
                    raise storage_error(error, self._root, "listed") from error
                passed_over["unreadable folder"] += 1

    def frame(self, name: str, index: int, bits: int) -> Frame | BrokenFrame:
        """See ``Images``."""
        return read_frame(self._root / name, name, index, bits)


class StoreImages:
    """Images below the address of an object store."""

    at_once = _FETCHED_AT_ONCE

    def __init__(self, store: FsspecStore) -> None:
        self._store = store
        self.name = store.name

    def names(self, passed_over: Counter[str], leave_out: Path | None = None) -> Iterator[str]:
        """See ``Images``; the names of one folder are in memory."""
        for path in self._store.files():
            name = path.rpartition("/")[2]
            if name.startswith("."):
                passed_over["hidden"] += 1
            elif name.lower().endswith(IMAGE_SUFFIXES):
                yield path
            else:
                passed_over[kind_of_file(name)] += 1

    def frame(self, name: str, index: int, bits: int) -> Frame | BrokenFrame:
        """See ``Images``."""
        path = f"{self.name}/{name}"
        return frame_of_file(lambda: self._decoded(name, path), path, name, index, bits)

    def _decoded(self, name: str, path: str) -> Decoded:
        data = self._store.read(name, largest_file())
        if data is None:
            raise DataError(f"{path}: no such file.", "Check the address.")
        return decode_bytes(data, path)


class ShardSource(FileProgress):
    """Some archived images as the source of a stream.

    Args:
        images: where they are.
        names: of them.
        first: the index of the first one.
    """

    def __init__(self, images: Images, names: Sequence[str], first: int) -> None:
        super().__init__(images.name)
        self.total: int | None = len(names)
        self.root = Path()
        self._images, self._names, self._first = images, names, first

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        with ThreadPoolExecutor(self._images.at_once, "dmdd-fetch") as pool:
            coming: deque[Future[Frame | BrokenFrame]] = deque()
            names = enumerate(self._names, self._first)
            try:
                while not self._stopped.is_set():
                    for index, name in names:
                        coming.append(pool.submit(self._images.frame, name, index, self.bits))
                        if len(coming) >= self._images.at_once:
                            break
                    if not coming:
                        return
                    frame = coming.popleft().result()
                    self._note(frame)
                    yield frame
            finally:
                pool.shutdown(cancel_futures=True)
