"""Exactly once over several starts: which frames the results files have already."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

_LETTERS = {"good": "g", "anomalous": "a", "unreliable": "u", "error": "e"}
_STATUSES = {ord(letter): status for status, letter in _LETTERS.items()}


class Done:
    """The frames that one results file has lines of.

    A frame is known by its source alone: the k-th line about a source stands for its k-th frame, since lines
    are in the order of the frames. So images may be added or removed between two starts, a path may come
    twice, and the frames of a video need no names.

    Args:
        key: how a source reads when it comes back from the file.
    """

    def __init__(self, key: Callable[[str], str] = str) -> None:
        self._key = key
        # A letter a line: of a source that is an image one byte, of a video one for each frame.
        self._lines: dict[str, bytearray] = {}
        self._ignored: set[int] = set()

    def __bool__(self) -> bool:
        return bool(self._lines)

    def add(self, source: str, status: str) -> None:
        """There is a line about a frame of this source."""
        self._lines.setdefault(source, bytearray()).append(ord(_LETTERS.get(status, "u")))

    def take(self, source: str) -> str | None:
        """Strike out the first line about a source, and give the status in it; None when none is left."""
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
        """The frame of this index is judged once more for the sake of another file; this one has it."""
        self._ignored.add(index)

    def ignores(self, index: int) -> bool:
        """Whether that was said of a frame; asked once for each."""
        if index not in self._ignored:
            return False
        self._ignored.discard(index)
        return True


class ResumeState:
    """Decides which frames a resumed run need not judge again. Empty when nothing is resumed.

    Args:
        files: what each results file has. A frame that one of them lacks is judged, and the others pass over
            its result.

    Attributes:
        skipped: how many frames were passed over, by what their lines say: ``good``, ``anomalous``,
            ``unreliable``, ``error``.
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
