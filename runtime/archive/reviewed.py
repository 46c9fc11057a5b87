"""Which images of an archive carry a verdict, for whoever deletes the oldest."""

from __future__ import annotations

from pathlib import Path

from dmdd_edge.outside_files import read_lines
from dmdd_edge.strict_json import NotStrict, parse_object


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
            for position, line in read_lines(self._path, self._read):
                self._read = position
                self._take(line)
        except OSError:  # then what is known counts
            return False
        return True

    def _take(self, line: bytes) -> None:
        try:
            fields = parse_object(line)
            name, verdict = str(fields["id"]), fields["verdict"]
        except (NotStrict, KeyError):
            return
        if verdict == "none":
            self._ids.discard(name)
        else:
            self._ids.add(name)
