"""Passes verdicts to the results files and the receivers of messages, and never holds up the station."""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from dmdd_edge.runtime.archive.sink import ArchiveSink
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.sinks import LineSink, Outcome, Sink
from dmdd_edge.runtime.sinks.line_file import RETRY, LineFile
from dmdd_edge.runtime.summary import Summary

_LOG = logging.getLogger(__name__)
#: Number of parts that may wait for the sinks with their images.
_WITH_IMAGES = 16
#: Number of parts that may wait for the sinks.
_ROOM = 10_000
_NO_IMAGE = np.zeros((0, 0, 3), np.uint8)
_NO_MAP = np.zeros((0, 0), np.float32)
#: How long the end waits for the sinks, in seconds.
_LEAVE_SECONDS = 30.0
#: A call of a sink that takes longer hangs, in seconds: a share that is gone blocks its writer for ever.
_STUCK_SECONDS = 10.0


@dataclass(frozen=True)
class _Entry:
    """What waits for the sinks; without a line, it is time to try again what waits in the files."""

    line: dict[str, Any] | None = None
    outcomes: Sequence[Outcome] = ()
    images: bool = False


class Recorder:
    """The sinks of a station, in their own thread: a slow disk must not make a verdict late.

    A sink of lines gets one line per part, any other the frame and the result of each inspection. When the
    sinks are too slow, first the images are left out, then everything, and both are counted. A sink that
    hangs holds up the others, but not the station: ``look`` tells.

    Args:
        sinks: receive the results; closed at the end.
        say: receives what a person should know, one line each.
    """

    def __init__(self, sinks: Sequence[Sink], say: Callable[[str], None]) -> None:
        self._say = say
        self._sinks: tuple[Sink, ...] = ()
        self.add(sinks)
        self._waiting: deque[_Entry] = deque()
        self._with_images = 0
        self._changed = threading.Condition()
        self._closing = False
        self._summary: Summary | None = None
        self._broken: dict[int, str] = {}
        self._without_images = self._lost = 0
        #: The sink that is called now, and since when.
        self._called: tuple[object, float] | None = None
        self._told = ""
        self._thread = threading.Thread(target=self._work, name="dmdd-recorder", daemon=True)
        self._thread.start()

    def add(self, sinks: Sequence[Sink]) -> None:
        """Add sinks; before the first part."""
        self._sinks = (*self._sinks, *sinks)
        self._lines = [sink for sink in self._sinks if isinstance(sink, LineSink)]
        self._files = [sink for sink in self._sinks if isinstance(sink, LineFile)]
        others = [sink for sink in self._sinks if not isinstance(sink, LineSink)]
        # An archive counts every frame, whether or not its image was left out.
        self._tables = [sink for sink in others if isinstance(sink, (LineFile, ArchiveSink))]
        self._pictures = [sink for sink in others if not isinstance(sink, LineFile)]

    @property
    def problem(self) -> str:
        """Why results are not written now; empty while all is well."""
        failing = [f"{file.path} cannot be written." for file in self._files if file.failing]
        full = len(self._waiting) >= _ROOM
        lost = [f"The sinks are too slow; {self._lost} results are lost."] if self._lost and full else []
        return " ".join([*filter(None, [self._stuck()]), *self._broken.values(), *failing, *lost])

    def look(self) -> str:
        """The problem now, see ``problem``; says when a sink begins to hang, and when it works again.

        Called again and again: the thread of the sinks cannot tell when it hangs itself.
        """
        stuck = self._stuck()
        with self._changed:
            told, self._told = self._told, stuck
        if stuck != told:
            self._say(stuck or "Results are written again.")
        return self.problem

    def _stuck(self) -> str:
        called = self._called
        if called is None or time.monotonic() - called[1] < _STUCK_SECONDS:
            return ""
        return f"Results wait: {_name(called[0])} has not answered for {_STUCK_SECONDS:g} s."

    def put(self, line: dict[str, Any], outcomes: Sequence[Outcome] = ()) -> None:
        """Write a line, and what was found on each frame; returns at once.

        Args:
            line: fields of one JSON object.
            outcomes: the frames of a part, with their results.
        """
        with self._changed:
            wanted = bool(outcomes and self._pictures)
            images = wanted and self._with_images < _WITH_IMAGES
            if wanted and not images:
                if not self._without_images:
                    self._say("The sinks of images are too slow; the images of some parts are left out.")
                self._without_images += 1
            if not images:
                outcomes = [_without_image(outcome) for outcome in outcomes]
            if len(self._waiting) >= _ROOM:
                if not self._lost:
                    self._say(f"{_ROOM} results wait for the sinks; new ones are lost until there is room.")
                self._lost += 1
                return
            self._with_images += images
            self._waiting.append(_Entry(line, outcomes, images))
            self._changed.notify()

    def close(self, summary: Summary | None) -> None:
        """Write what waits and the summary, then close the sinks."""
        with self._changed:
            self._closing, self._summary = True, summary
            self._changed.notify()
        self._thread.join(_LEAVE_SECONDS)
        if self._thread.is_alive():
            with self._changed:
                self._lost += len(self._waiting)
                self._waiting.clear()
            if (called := self._called) is not None:
                self._say(f"{_name(called[0])} did not finish; its last result may be lost.")
        if self._without_images:
            self._say(f"The images of {self._without_images} parts were not written: the sinks are too slow.")
        if self._lost:
            self._say(f"{self._lost} results were not written: the sinks are too slow.")

    def _next(self) -> _Entry | None:
        with self._changed:
            while not self._waiting:
                if self._closing:
                    return None
                if not self._changed.wait(RETRY):
                    return _Entry()
            entry = self._waiting.popleft()
            self._with_images -= entry.images
            return entry

    def _work(self) -> None:
        while (entry := self._next()) is not None:
            if entry.line is None:
                for file in self._files:
                    self._try(file, file.retry)
            else:
                self._write(entry, entry.line)
        # An archive last: it waits for its own disk, and the others must not wait for that.
        for sink in sorted(self._sinks, key=lambda each: isinstance(each, ArchiveSink)):
            if self._summary is not None:
                self._try(sink, partial(sink.summary, self._summary))
            self._try(sink, sink.close)

    def _write(self, entry: _Entry, line: dict[str, Any]) -> None:
        # Images first: a part whose line is in a file has its images, unless they were left out.
        with_image = self._pictures if entry.images else []
        for sink in [*with_image, *(table for table in self._tables if table not in with_image)]:
            for outcome in entry.outcomes:
                self._try(sink, partial(_pass, sink, outcome))
        for lines in self._lines:
            self._try(lines, partial(lines.line, dict(line)))

    def _try(self, sink: object, call: Callable[[], None]) -> None:
        """Call a sink; one that fails concerns neither the others nor the station."""
        self._called = sink, time.monotonic()
        try:
            call()
        except Exception as error:
            message = f"Results are not written to {type(sink).__name__}: {error}"
            if self._broken.get(id(sink)) != message:
                _LOG.exception("A sink failed.")
                self._say(message)
            self._broken[id(sink)] = message
        else:
            self._broken.pop(id(sink), None)
        finally:
            self._called = None


def _name(sink: object) -> str:
    return str(sink.path) if isinstance(sink, (LineFile, ArchiveSink)) else type(sink).__name__


def _pass(sink: Sink, outcome: Outcome) -> None:
    if isinstance(outcome, BrokenFrame):
        sink.broken(outcome)
    else:
        sink.result(*outcome)


def _without_image(outcome: Outcome) -> Outcome:
    """What a table needs of an outcome; images and maps would fill the memory while they wait."""
    if isinstance(outcome, BrokenFrame):
        return outcome
    frame, result = outcome
    return replace(frame, image=_NO_IMAGE), replace(result, anomaly_map=_NO_MAP, image=None)
