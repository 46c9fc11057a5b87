"""A video file played like a camera, to rehearse a line: ``replay:line.mp4?fps=30&loop=1``."""

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
from dmdd_edge.runtime.sources.ffmpeg import set_up_ffmpeg
from dmdd_edge.runtime.sources.live_device import EndOfDeviceError, LostError
from dmdd_edge.runtime.sources.urls import REPLAY_PREFIX

PREFIX = REPLAY_PREFIX
_QUERY = re.compile(r"(?:\w+=[^&]*(?:&|$))*")
_FORM = "Write replay:FILE?fps=30&loop=1; fps (default: the file's own) and loop (default: 0) are optional."


@dataclass(frozen=True)
class Replay:
    """A parsed ``replay:`` source.

    Attributes:
        path: the video.
        fps: frames per second; None for the file's own rate.
        loop: restart at its end, forever.
    """

    path: Path
    fps: float | None = None
    loop: bool = False

    @classmethod
    def parse(cls, source: str) -> Replay:
        """Parse ``replay:FILE?fps=F&loop=1``.

        Raises:
            DmddError: the text is malformed, or a value is out of range.
        """
        text = source[len(PREFIX) :].removeprefix("//")
        # A file name may contain a question mark; the text after the last one may belong to it.
        name, _, query = text.rpartition("?")
        if Path(text).is_file() or not name or not _QUERY.fullmatch(query):
            name, query = text, ""
        given = dict(parse_qsl(query, keep_blank_values=True))
        fps, loop = given.pop("fps", None), given.pop("loop", "0")
        if given:
            raise SourceError(f"{source}: unknown parameter {next(iter(given))!r}.", _FORM)
        if loop not in ("0", "1"):
            raise SourceError(f"{source}: loop must be 0 or 1, got {loop}.", _FORM)
        try:
            rate = None if fps is None else float(fps)
        except ValueError:
            rate = 0.0
        if rate is not None and not 0 < rate < float("inf"):
            raise SourceError(f"{source}: fps must be a number above 0, got {fps}.", _FORM)
        return cls(Path(name), rate, loop == "1")


class ReplayDevice(CaptureDevice):
    """Delivers the frames of a file at their rate, like a camera that does not wait.

    Args:
        replay: the file and its options.
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
            raise SourceError(f"{self.name}: the file does not exist.", _FORM)
        set_up_ffmpeg()
        capture = cv2.VideoCapture(str(path))
        if not capture.isOpened():
            raise SourceError(f"Cannot read {path} as a video.", "Check that it plays.")
        rate = self._replay.fps or capture.get(cv2.CAP_PROP_FPS)
        if not 0 < rate < float("inf"):
            raise SourceError(f"{path} does not state its frame rate.", "Add it: replay:FILE?fps=30.")
        self._capture, self._rate = capture, rate

    def grab(self, stop: threading.Event) -> None:
        """Wait until the next frame is due."""
        assert self._capture is not None
        if not self._capture.grab():
            self._rewind(stop)
        now = time.monotonic()
        if self._started is None:
            self._started = now
        # Due times count from the start, so that the rate stays exact after a late frame.
        ahead = self._started + self._number / self._rate - now
        self._number += 1
        if ahead > 0:
            stop.wait(ahead)

    def detail(self) -> str:
        """The frame rate."""
        return f"{self._rate:g} frames/s" + (", in a loop" if self._replay.loop else "")

    def _rewind(self, stop: threading.Event) -> None:
        if not self._replay.loop:
            raise EndOfDeviceError
        self.close()
        self.open(stop)
        assert self._capture is not None
        if not self._capture.grab():
            raise LostError(f"{self.name} has no more frames")
