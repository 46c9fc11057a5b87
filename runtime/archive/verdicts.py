"""The verdicts in force, followed as people add to them, also from other processes."""

from __future__ import annotations

import os
from collections import deque
from collections.abc import Callable, Iterator
from typing import NamedTuple

from dmdd_edge.runtime.archive.feedback import Feedback, FeedbackFile

#: The last verdicts that are kept for those who ask what is new.
_KEPT = 512


class Given(NamedTuple):
    """A verdict as it was given.

    Attributes:
        number: position in the file after it; grows from verdict to verdict.
        id: of the image.
        verdict: ``none`` takes an earlier one back.
        who: see ``Feedback``.
        given: when, ISO 8601 in UTC.
    """

    number: int
    id: str
    verdict: str
    who: str
    given: str


class Verdicts:
    """The last verdict on each image.

    Args:
        file: see ``FeedbackFile``.
        changed: receives an id and the verdict before and after, an empty text for none.

    Attributes:
        number: of the last verdict that was read; 0 before the first.
    """

    def __init__(self, file: FeedbackFile, changed: Callable[[str, str, str], None]) -> None:
        self._file, self._changed = file, changed
        self._last: dict[str, Given] = {}
        self._news: deque[Given] = deque(maxlen=_KEPT)
        self._inode = 0
        self.number = 0

    def follow(self) -> None:
        """Read what was added.

        Raises:
            StorageError: the file exists and cannot be read.
        """
        try:
            status = os.stat(self._file.path)  # noqa: PTH116 - one call for both
        except OSError:
            status = None
        if status is None or (self._inode and status.st_ino != self._inode) or status.st_size < self.number:
            self._forget()  # somebody replaced the file
        if status is None or status.st_size == self.number:
            return
        self._inode = status.st_ino
        for number, feedback in self._file.since(self.number):
            self.number = number
            if feedback is not None:
                self._take(feedback)

    def of(self, name: str) -> Given | None:
        """The last verdict on an image, also one that takes another back; None without one."""
        return self._last.get(name)

    def word(self, name: str) -> str:
        """The verdict in force on an image; empty without one."""
        given = self._last.get(name)
        return "" if given is None or given.verdict == "none" else given.verdict

    def names(self) -> Iterator[str]:
        """The images with a verdict in force."""
        return (name for name in self._last if self.word(name))

    def after(self, number: int) -> list[Given] | None:
        """The verdicts after one, the oldest first; None where they are not kept any more."""
        if number > self.number or (len(self._news) == _KEPT and self._news[0].number > number):
            return None
        return [given for given in self._news if given.number > number]

    def _take(self, feedback: Feedback) -> None:
        before = self.word(feedback.id)
        given = Given(self.number, feedback.id, feedback.verdict, feedback.who, feedback.given)
        self._last[feedback.id] = given
        self._news.append(given)
        self._changed(feedback.id, before, self.word(feedback.id))

    def _forget(self) -> None:
        for name in list(self._last):
            before = self.word(name)
            del self._last[name]
            self._changed(name, before, "")
        self._news.clear()
        self._inode = self.number = 0
