"""A file that holds the number of the recipe, for a production system that cannot speak to a PLC."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from dmdd_edge.runtime.station.model import Desk, Missed, PartResult, StationState

#: How often the file is read, in seconds.
_EVERY = 0.5
#: A number has fewer characters, spaces around it included.
_LONGEST = 64


class RecipeFile:
    """An observer that requests the recipe of a file; it looks from a thread, since a share may hang.

    A file that is missing or holds no number requests nothing, and is reported once until it changes.

    Args:
        path: of the file.
        desk: takes the requests.
        say: receives what a person should know, one line each.
        every: seconds between two looks.
    """

    def __init__(self, path: Path, desk: Desk, say: Callable[[str], None], every: float = _EVERY) -> None:
        self._path, self._desk, self._say, self._every = path, desk, say, every
        self._number = 0
        self._problem = ""
        self._begun, self._ended = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._work, name="dmdd-recipe-file", daemon=True)
        self._thread.start()

    def part(self, part: PartResult) -> None:
        """Nothing: the file does not depend on parts."""

    def missed(self, missed: Missed) -> None:
        """Nothing: the file does not depend on triggers."""

    def changed(self, state: StationState) -> None:
        """Begin when the first recipe is in force, so that there is one to fall back to."""
        if state.recipe:
            self._begun.set()

    def close(self) -> None:
        """Request nothing more."""
        self._ended.set()
        self._begun.set()

    def _work(self) -> None:
        self._begun.wait()
        while not self._ended.is_set():
            number = self._read()
            if number and number != self._number:
                self._number = number
                self._desk.request_recipe(number)
            self._ended.wait(self._every)

    def _read(self) -> int:
        """The number; 0 without one."""
        try:
            with self._path.open("rb") as stream:
                text = stream.read(_LONGEST).strip()
        except OSError as error:
            self._report(f"{self._path} cannot be read: {error.strerror or error}. The recipe stays.")
            return 0
        if not text.isdigit() or not int(text):
            # It may be empty for a moment while it is written.
            self._report(f"{self._path} holds no number of a recipe. The recipe stays." if text else "")
            return 0
        self._report("")
        return int(text)

    def _report(self, problem: str) -> None:
        if problem and problem != self._problem:
            self._say(problem)
        self._problem = problem
