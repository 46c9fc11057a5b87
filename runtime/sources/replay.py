"""A video file played as if it were a camera, to rehearse a line: ``replay:line.mp4?fps=30&loop=1``."""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qsl

import cv2

from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.sources.capture import CaptureDevice
from dmdd_edge.runtime.sources.device import EndOfDeviceError, LostError
from dmdd_edge.runtime.sources.ffmpeg import set_up_ffmpeg

PREFIX = "replay:"
_QUERY = re.compile(r"(?:\w+=[^&]*(?:&|$))*")
_FORM = (
    "It is written as replay:FILE?fps=30&loop=1; fps (else the file's own) and loop (else 0) may be left out."
)


@dataclass(frozen=True)
class Replay:
    """What a ``replay:`` source says.

    Attributes:
        path: the video.
        fps: frames a second; None for the file's own rate.
        loop: begin again at its end, for ever.
    """

    path: Path
    fps: float | None = None
    loop: bool = False

    @classmethod
    def parse(cls, source: str) -> Replay:
        """Read ``replay:FILE?fps=F&loop=1``.

        Raises:
            DmddError: it is written otherwise, or a value is out of its range.
        """
        text = source[len(PREFIX) :].removeprefix("//")
        # A file's name may hold a question mark; what follows the last one may be the rest of it.
        name, _, query = text.rpartition("?")
        if Path(text).is_file() or not name or not _QUERY.fullmatch(query):
            name, query = text, ""
        given = dict(parse_qsl(query, keep_blank_values=True))
        fps, loop = given.pop("fps", None), given.pop("loop", "0")
        if given:
            raise SourceError(f"{source}: {next(iter(given))} is nothing that replay: knows.", _FORM)
        if loop not in ("0", "1"):
            raise SourceError(f"{source}: loop is {loop}; it is 0 or 1.", _FORM)
        try:
            rate = None if fps is None else float(fps)
        except ValueError:
            rate = 0.0
        if rate is not None and not 0 < rate < float("inf"):
            raise SourceError(f"{source}: fps is {fps}; it must be a number above 0.", _FORM)
        return cls(Path(name), rate, loop == "1")


class ReplayDevice(CaptureDevice):
    """Gives the frames of a file at their rate, like a camera that knows nothing of who takes them.

    Args:
        replay: which file, and how.
    """

    def __init__(self, replay: Replay) -> None:
        super().__init__(f"{PREFIX}{replay.path}", replay.path.name)
        self._replay = replay
        self._rate = 0.0
        self._started: float | None = None
        self._number = 0

    def open(self, stop: threading.Event) -> None:
        """Open the file."""
        path = self._replay.path
        if not path.is_file():
            raise SourceError(f"{self.name}: there is no such file.", _FORM)
        set_up_ffmpeg()
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise SourceError(f"{path} cannot be read as a video.", "Check that it plays.")
        rate = self._replay.fps or capture.get(cv2.CAP_PROP_FPS)
        if not 0 < rate < float("inf"):
            raise SourceError(
                f"{path} does not say how many frames a second it has.", f"Add ?fps=30. {_FORM}"
            )
        self._capture, self._rate = capture, rate

    def grab(self, stop: threading.Event) -> None:
        """Wait until the next frame is due."""
        assert self._capture is not None
        if not self._capture.grab():
            self._rewind(stop)
        now = time.monotonic()
        if self._started is None:
            self._started = now
        # Due times count from the start, so that the rate is exact however late a single frame is.
        ahead = self._started + self._number / self._rate - now
        self._number += 1
        if ahead > 0:
            stop.wait(ahead)

    def detail(self) -> str:
        """Its rate."""
        return f"{self._rate:g} frames a second" + (", again and again" if self._replay.loop else "")

    def _rewind(self, stop: threading.Event) -> None:
        if not self._replay.loop:
            raise EndOfDeviceError
        self.close()
        self.open(stop)
        assert self._capture is not None
        if not self._capture.grab():
            raise LostError(f"{self.name} has no frame any more")
