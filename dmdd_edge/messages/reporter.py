"""How a long function reports its progress: to a function of the caller, or to the command line's bar."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import TypeAlias

from dmdd_edge.messages.phases import Cost

#: Called with a phase, the units done and their total; None where the total is unknown.
Progress: TypeAlias = "Callable[[str, float, float | None], None]"

_log = logging.getLogger("dmdd_edge")


class Reporter:
    """Receives the progress of a long function; this one passes it to a function and logs the lines.

    Args:
        progress: called with each phase, the units done and their total; None ignores them.
    """

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress

    def expect(self, costs: Iterable[Cost]) -> None:
        """The phases to come, with what they are expected to take."""

    def update(self, phase: str, done: float = 0.0, total: float | None = None, note: str = "") -> None:
        """Progress of a phase; one that is named for the first time starts.

        Args:
            phase: its name, for people.
            done: units done.
            total: units of the phase; 1 for a share, None where it is unknown.
            note: what else there is to say, such as the step of a build.
        """
        if self._progress is not None:
            self._progress(phase, done, total)

    def say(self, text: str) -> None:
        """A line that stays."""
        _log.info(text)
