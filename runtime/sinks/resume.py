"""Exactly once over several starts: which frames the results files already have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

_LETTERS = {"good": "g", "suspect": "s", "anomalous": "a", "unreliable": "u", "error": "e"}
_STATUSES = {ord(letter): status for status, letter in _LETTERS.items()}


class Done:
    """The frames that have lines in one results file.

    A frame is identified by its source alone: the k-th line about a source is about its k-th frame, because
    lines are in the order of the frames. So images may be added or removed between two starts, a path may
    come twice, and the frames of a video need no names.

    Args:
        key: converts a source to how it reads in the file.
    """

    def __init__(self, key: Callable[[str], str] = str) -> None:
        self._key = key
        # One letter per line: one byte for an image, one per frame for a video.
        self._lines: dict[str, bytearray] = {}
        self._ignored: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, source: str, status: str) -> None:
        """Add a line about a frame of this source."""
        self._lines.setdefault(source, bytearray()).append(ord(_LETTERS.get(status, "u")))

    def take(self, source: str) -> str | None:
        """Remove the first line about a source; returns its status, None without a line."""
        source = self._key(source)
        lines = self._lines.get(source)
        if lines is None:
            return None
        status = _STATUSES[lines[0]]
        del lines[:1]  # from the front of a bytearray this moves nothing
        if not lines:
            del self._lines[source]
        return status

    def ignore(self, index: int) -> None:
        """Note that this file has the frame of this index, which is processed again for another file."""
        self._ignored.add(index)

    def ignores(self, index: int) -> bool:
        """Whether this file already has a frame; called once for each."""
        if index not in self._ignored:
            return False
        self._ignored.discard(index)
        return True


class ResumeState:
    """Decides which frames a resumed run skips. Empty if the run is not resumed.

    Args:
        files: the frames of each results file. A frame that one of them lacks is processed, and the others
            ignore its result.

    Attributes:
        skipped: number of skipped frames by the status in their lines: ``good``, ``suspect``,
            ``anomalous``, ``unreliable``, ``error``.
    """

    def __init__(self, files: Sequence[Done]) -> None:
        self._files = files
        self.skipped: Counter[str] = Counter()

    def skip(self, source: str, index: int) -> bool:
        """Whether every file has this frame; before it is decoded, once for each frame, in their order.

        Called by the thread that reads the source; the sinks may be writing earlier frames meanwhile.

        Args:
            source: as in ``Frame.source``.
            index: as in ``Frame.index``: the number within the whole run, skipped frames counted.
        """
        if not any(self._files):
            return False
        statuses = [done.take(source) for done in self._files]
        if None not in statuses:
            self.skipped[str(statuses[0])] += 1
            return True
        for done, status in zip(self._files, statuses, strict=True):
            if status is not None:
                done.ignore(index)
        return False
