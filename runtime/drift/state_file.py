"""What the drift watch has learned, in a file, so that a restart does not lose it."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

from dmdd_edge.errors import DmddError
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.runtime.drift.inspection import WatchedInspection
from dmdd_edge.storage import write_atomically
from dmdd_edge.strict_json import parse_object

#: Seconds between two writes, at least.
_PAUSE = 60.0
#: The largest file that is read, in bytes and in values.
_LARGEST, _MOST_VALUES = 64 << 20, 8 << 20


class StateFile:
    """Reads the file at the start, and writes it once a minute and at the end.

    A damaged file is reported once and replaced; one that cannot be written does not hold up anything.

    Args:
        path: the file.
        inspections: whose watches are kept, by name.
        say: receives what a person should know.
        clock: monotonic, in seconds.
        lock: held while the watches are read, for a file that is written by another thread than theirs.
    """

    def __init__(
        self,
        path: Path,
        inspections: Iterable[WatchedInspection],
        say: Callable[[str], None],
        clock: Callable[[], float] = time.monotonic,
        lock: AbstractContextManager[Any] | None = None,
    ) -> None:
        self._path, self._inspections, self._say, self._clock = path, tuple(inspections), say, clock
        self._lock = nullcontext() if lock is None else lock
        self._next = clock() + _PAUSE
        self._problem = ""
        self._read()

    def _read(self) -> None:
        try:
            kept = parse_object(read_bounded(self._path, _LARGEST), most_values=_MOST_VALUES)["inspections"]
            for inspection in self._inspections:
                if inspection.name in kept:
                    inspection.restore(dict(kept[inspection.name]))
        except FileNotFoundError:
            return
        except (OSError, ValueError, KeyError, TypeError, DmddError):
            self._say(f"{self._path} cannot be read; the drift watch learns again what is usual.")

    def look(self) -> None:
        """Write it, if it is time to."""
        if self._clock() >= self._next:
            self.write()

    def write(self) -> None:
        """Write it now."""
        self._next = self._clock() + _PAUSE
        with self._lock:
            kept = {each.name: each.to_json() for each in self._inspections}
        try:
            write_atomically(self._path, json.dumps({"inspections": _finite(kept)}) + "\n")
            self._problem = ""
        except DmddError as error:
            if error.message != self._problem:
                self._say(f"{error.message} The drift watch continues without keeping what it learned.")
            self._problem = error.message


def _finite(value: Any) -> Any:
    """The value for strict JSON: not-a-number becomes text that ``float`` reads."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, dict):
        return {key: _finite(each) for key, each in value.items()}
    return [_finite(each) for each in value] if isinstance(value, (list, tuple)) else value
