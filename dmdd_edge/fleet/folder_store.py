"""A folder as a store: a network share, a USB stick."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from dmdd_edge.bundle.versions import version_names
from dmdd_edge.errors import FleetError
from dmdd_edge.failures import storage_error
from dmdd_edge.fleet.store import Bytes, NotThere
from dmdd_edge.outside_files import inside, open_regular, read_bounded
from dmdd_edge.runs import folders_in

#: What to do where a file of the store cannot be read.
_CHECK = "Check the folder and, if it is a network share, that it is mounted."


class FolderStore:
    """A folder as a store; links in it may not leave it, and pipes and devices are refused.

    Args:
        root: the folder.
    """

    def __init__(self, root: Path) -> None:
        self.root = root
        self.name = str(root)

    def read(self, path: str, limit: int) -> bytes | None:
        """See ``Store``."""
        try:
            return read_bounded(inside(self.root, path), limit)
        except (FileNotFoundError, NotADirectoryError):
            self._require()
            return None
        except OSError as error:
            raise storage_error(error, self.root / path, "read", _CHECK) from error

    @contextmanager
    def opened(self, path: str, start: int) -> Iterator[tuple[int, Bytes]]:
        """See ``Store``."""
        try:
            with open_regular(inside(self.root, path)) as stream:
                stream.seek(start)
                yield start, _Reader(stream, self.root / path)
        except FileNotFoundError as error:
            self._require()
            raise NotThere(
                f"{self.name} does not have the file {path} any more.", "Push the version again."
            ) from error
        except OSError as error:
            raise storage_error(error, self.root / path, "read", _CHECK) from error

    def versions(self, category: str | None = None) -> dict[str, list[str]]:
        """See ``Store``."""
        self._require()
        try:
            names = folders_in(self.root, lambda folder: True) if category is None else [category]
            found = {name: version_names(inside(self.root, name)) for name in names}
        except OSError as error:
            raise storage_error(error, self.root, "read", _CHECK) from error
        return {name: versions for name, versions in found.items() if versions}

    def _require(self) -> None:
        if not self.root.is_dir():
            raise FleetError(f"There is no folder {self.name}.", _CHECK)


class _Reader:
    def __init__(self, stream: Bytes, path: Path) -> None:
        self._stream, self._path = stream, path

    def read(self, count: int, /) -> bytes:
        try:
            return self._stream.read(count)
        except OSError as error:
            raise storage_error(error, self._path, "read", _CHECK) from error
