"""Where a fleet keeps its bundles: a folder, a web server or an object store, laid out like ``models/``.

CATEGORY/VERSION/...              the files of a bundle
CATEGORY/VERSION/manifest.json    comes last: a version without it is not there yet
CATEGORY/VERSION.sha256           the hash of the manifest; a signature makes it needless
CATEGORY/CURRENT                  the version that a pull takes
index.json                        what there is, for web servers, which cannot be listed
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

from dmdd_edge.errors import FleetError

#: The layout's names, besides those of a bundle.
INDEX_NAME = "index.json"

#: Bytes that are read at once.
BLOCK = 1 << 20


class NotThere(FleetError):  # noqa: N818 - what the store says
    """The store does not have the file; another attempt would not find it either."""


@dataclass(frozen=True)
class StoredFile:
    """A file of a store, as it is listed.

    Attributes:
        path: relative to what was listed, with ``/``.
        size: in bytes.
        mark: differs when the file was written again: its ETag, or the time of its change; empty where the
            store has neither.
    """

    path: str
    size: int
    mark: str


class Bytes(Protocol):
    """What a file is read from."""

    def read(self, count: int, /) -> bytes:
        """At most ``count`` bytes; none at the end."""


class Store(Protocol):
    """What a pull needs of a store. Paths are relative to its root, with ``/``.

    Attributes:
        name: its address for people, without user, password and tokens.
    """

    name: str

    def read(self, path: str, limit: int) -> bytes | None:
        """The contents of a small file; None without it.

        Raises:
            DmddError: it is larger than ``limit`` bytes, or the store cannot be read.
        """

    def opened(self, path: str, start: int) -> AbstractContextManager[tuple[int, Bytes]]:
        """A file, to be read from a position on.

        Args:
            path: of the file.
            start: the position, in bytes.

        Returns:
            Where reading begins: at ``start``, or at 0 if the store can only be read from the beginning;
            and what is read from.

        Raises:
            DmddError: there is no such file, or the store cannot be read; also inside the block.
        """

    def versions(self, category: str | None = None) -> dict[str, list[str]]:
        """The complete versions of each category, or of one, oldest first.

        Raises:
            DmddError: the store cannot be listed.
        """
