"""Which images of an archive carry a verdict, for whoever deletes the oldest."""

from __future__ import annotations

import json
from pathlib import Path


class Reviewed:
    """Follows the file of verdicts; only what was added since is read.

    Args:
        path: of the file; it need not exist.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read = path, 0
        self._ids: set[str] = set()

    def __contains__(self, name: str) -> bool:
        return name in self._ids

    def refresh(self) -> bool:
        """Read what was added; whether there was anything."""
        try:
            size = self._path.stat().st_size
            if size == self._read:
                return False
            if size < self._read:  # it was replaced
                self._read = 0
                self._ids.clear()
            with self._path.open("rb") as file:
                file.seek(self._read)
                for line in file:
                    if not line.endswith(b"\n"):
                        break
                    self._read += len(line)
                    self._take(line)
        except OSError:  # then what is known counts
            return False
        return True

    def _take(self, line: bytes) -> None:
        try:
            fields = json.loads(line)
            name, verdict = str(fields["id"]), fields["verdict"]
        except (ValueError, TypeError, KeyError):
            return
        if verdict == "none":
            self._ids.discard(name)
        else:
            self._ids.add(name)
