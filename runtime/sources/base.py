"""The Source protocol: iterate frames, stop, report state."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from dmdd_edge.runtime.frame import BrokenFrame, Frame


@dataclass(frozen=True)
class SourceState:
    """The state of a source at one moment.

    Attributes:
        name: for a person, without user names and passwords.
        live: whether it is a camera or a stream.
        connected: whether it delivers frames now.
        width: of the last frame, in pixels; None before the first.
        height: of the last frame, in pixels; None before the first.
        fps: frames per second: as they arrive from a live source, or from a video's file; None if unknown.
        frames: frames delivered so far, broken ones included.
        dropped: frames that arrived but were not taken in time.
        reconnects: how often a lost connection was restored.
        frame_age: seconds since the last frame arrived; None before the first.
        message: the current problem; empty without one.
        detail: the device's settings, as read back; may be empty.
        passed_over: of files: how many were found but are skipped, by kind: a suffix such as ``.heic``,
            ``hidden``, ``linked folder``, ``unreadable folder``, ``written by a run``, ``there before the
            start`` (of a watched folder), and images of which only the first page is read, as ``further
            pages``.
        gaps: of strips of a web: how often rows between two of them were missing; None of other sources.
        triggered: whether it waits for triggers, so that no frame for a long time is normal.
        waiting: of a watched folder: files that were seen but not read yet.
    """

    name: str
    live: bool
    connected: bool = True
    width: int | None = None
    height: int | None = None
    fps: float | None = None
    frames: int = 0
    dropped: int = 0
    reconnects: int = 0
    frame_age: float | None = None
    message: str = ""
    detail: str = ""
    passed_over: Mapping[str, int] = field(default_factory=dict)
    waiting: int = 0
    triggered: bool = False
    gaps: int | None = None


class Source(Protocol):
    """Delivers frames in order, each one once; iterate over it once.

    Attributes:
        total: the number of frames to come, or None if unknown.
        root: the folder that frames' names are relative to.
        live: true for a camera or a stream: only the newest frame is held, and the end is unknown. False for
            files: every frame is delivered, however long it takes.
        skip: called with a frame's source and index before it is decoded; true skips the frame. Only file
            sources call it. Set it before the iteration.
        bits: how many bits a 16-bit file uses, see ``images.read_image``. Only image files use it. Set it
            before the iteration.
        say: called with one line when the source is lost, and when it is back. Set it before the iteration.
    """

    total: int | None
    root: Path
    live: bool
    skip: Callable[[str, int], bool]
    bits: int
    say: Callable[[str], None]

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        """Read frame by frame; an unreadable one is a ``BrokenFrame``. The end releases the device."""
        ...

    def stop(self) -> None:
        """End the iteration soon, also while it waits for a frame; from any thread, any number of times."""
        ...

    def state(self) -> SourceState:
        """The current state; from any thread."""
        ...


def take_all(source: str, index: int) -> bool:
    """Skip no frame."""
    return False


def say_nothing(line: str) -> None:
    """Ignore the line."""


class FileProgress:
    """Shared by file sources: the stop flag and the state.

    Args:
        name: of the source, for a person.
        fps: frames per second, if the file states it.
        passed_over: files that are skipped; see ``SourceState``.
    """

    live = False

    def __init__(
        self, name: str, fps: float | None = None, passed_over: Mapping[str, int] | None = None
    ) -> None:
        self._name, self._fps = name, fps
        self._passed_over: Counter[str] = Counter(passed_over)
        self.bits = 16
        self.say: Callable[[str], None] = say_nothing
        self.skip: Callable[[str, int], bool] = take_all
        self._stopped = threading.Event()
        self._frames = 0
        self._size: tuple[int, int] | None = None
        self._last: float | None = None

    def stop(self) -> None:
        """End the iteration after the current frame."""
        self._stopped.set()

    def state(self) -> SourceState:
        """The progress so far."""
        # One read each, since the reading thread continues meanwhile.
        size, last = self._size, self._last
        return SourceState(
            self._name,
            live=False,
            width=None if size is None else size[0],
            height=None if size is None else size[1],
            fps=self._fps,
            frames=self._frames,
            frame_age=None if last is None else time.monotonic() - last,
            passed_over=dict(self._passed_over),
        )

    def _note(self, frame: Frame | BrokenFrame) -> None:
        """Count a frame before it is delivered."""
        if isinstance(frame, Frame):
            self._size = (frame.image.shape[1], frame.image.shape[0])
            if frame.more:
                self._passed_over["further pages"] += 1
        self._last = time.monotonic()
        self._frames += 1
