"""Watch for another version of a bundle to be put to use."""

from __future__ import annotations

import time
from pathlib import Path

from dmdd_edge.bundle.versions import CURRENT_NAME, read_current
from dmdd_edge.errors import DmddError

#: How often the file is read, in seconds.
EVERY = 1.0


class VersionWatch:
    """Watches a category's ``CURRENT``, which ``export`` and ``models use`` replace.

    Args:
        folder: of a category; another folder is not watched, because a version never changes.
        version: the version that runs.
    """

    def __init__(self, folder: Path, version: str) -> None:
        self._folder = folder if (folder / CURRENT_NAME).is_file() else None
        self._seen = version
        self._next = 0.0

    def changed(self) -> bool:
        """Whether ``CURRENT`` names another version than before; true once for each change."""
        now = time.monotonic()
        if self._folder is None or now < self._next:
            return False
        self._next = now + EVERY
        try:
            named = read_current(self._folder)
        except DmddError:
            return False  # being replaced, or damaged: the run keeps its version
        if named is None or named == self._seen:
            return False
        self._seen = named
        return True
