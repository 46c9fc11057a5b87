"""What every source has: its frames, a way to stop it, and how it stands."""

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
    """How a source stands at one moment.

    Attributes:
        name: what a person calls it, without user names and passwords.
        live: whether it is a camera or a stream.
        connected: whether frames can be had from it now.
        width: of the last frame, in pixels; None before the first.
        height: of the last frame, in pixels; None before the first.
        fps: frames a second: of a live source as they arrive, of a video as its file says; None when unknown.
        frames: frames handed out so far, broken ones included.
        dropped: frames that arrived and that nobody took in time.
        reconnects: how often a lost connection was made again.
        frame_age: seconds since the last frame arrived; None before the first.
        message: what is wrong now; empty when all is well.
        detail: what the device was found to be set to; empty when there is nothing to say.
        passed_over: of files: how many were found and are not judged, by kind: a suffix such as ``.heic``,
            ``hidden``, ``linked folder``, ``unreadable folder``, ``written by a run``, ``there before the
            start`` (of a watched folder), and images of which only the first page is judged, as ``further
            pages``.
        waiting: of a watched folder: files that were seen and are not read yet.
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


class Source(Protocol):
    """Delivers frames in order, each one once; iterate over it once.

    Attributes:
        total: how many frames there will be, or None when that is not known.
        root: the folder that frames' names are relative to.
        live: true of a camera or a stream: only the newest frame is kept, and there is no known end. False
            of files: each frame comes, however long it takes.
        skip: asked with a frame's source and index before it is decoded; true passes it over. Files alone
            ask. To be set before the iteration.
        bits: how many bits a 16-bit file uses, see ``images.read_image``. Image files alone heed it. To be
            set before the iteration.
        say: told, one line each, when the source is lost and when it is back. To be set before the iteration.
    """

    total: int | None
    root: Path
    live: bool
    skip: Callable[[str, int], bool]
    bits: int
    say: Callable[[str], None]

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        """Read frame by frame; what cannot be read is a ``BrokenFrame``. The end releases the device."""
        ...

    def stop(self) -> None:
        """End the iteration soon, also while it waits for a frame; from any thread, as often as one likes."""
        ...

    def state(self) -> SourceState:
        """How it stands now; from any thread."""
        ...


def take_all(source: str, index: int) -> bool:
    """No frame is passed over."""
    return False


def say_nothing(line: str) -> None:
    """Nobody is told."""


class FileProgress:
    """The part that sources of files share: the stop flag, and the state.

    Args:
        name: what a person calls the source.
        fps: frames a second, when the file says so.
        passed_over: what was found and is not judged; see ``SourceState``.
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
        """End the iteration after the frame that is being read."""
        self._stopped.set()

    def state(self) -> SourceState:
        """How far it is."""
        # One read each: the reading thread goes on meanwhile.
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
        """Count a frame that is about to be handed out."""
        if isinstance(frame, Frame):
            self._size = (frame.image.shape[1], frame.image.shape[0])
            if frame.more:
                self._passed_over["further pages"] += 1
        self._last = time.monotonic()
        self._frames += 1
