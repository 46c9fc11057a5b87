"""Video files."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import cv2
import numpy as np

from dmdd_edge.errors import DataError, SourceError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources.base import FileProgress
from dmdd_edge.runtime.sources.ffmpeg import set_up_ffmpeg

VIDEO_SUFFIXES = (".mp4", ".avi", ".mkv", ".mov", ".webm", ".m4v", ".mpg", ".mpeg")


class VideoFile(FileProgress):
    """Every frame of a video file, however long inference takes.

    Args:
        path: the file.
        every: decode only every ``every``-th frame, beginning with the first.

    Raises:
        DmddError: OpenCV cannot open it, or it contains no frames.
    """

    def __init__(self, path: Path, every: int = 1) -> None:
        self._path, self._every = path, every
        self.root = path.parent
        set_up_ffmpeg()
        self._capture = cv2.VideoCapture(str(path))
        if not self._capture.isOpened() or not self._capture.grab():
            raise SourceError(
                f"Cannot read {path} as a video.",
                "Check that it plays, or convert it with `ffmpeg -i IN -c:v libx264 OUT.mp4`.",
            )
        super().__init__(str(path), fps=self._capture.get(cv2.CAP_PROP_FPS) or None)
        # The container's count is an estimate for some formats: good enough for a progress bar only.
        self._announced = int(self._capture.get(cv2.CAP_PROP_FRAME_COUNT))
        self.total: int | None = -(-self._announced // every) if self._announced > 0 else None

    @property
    def names(self) -> tuple[str, ...]:
        """The name of the first frame, so that a run can check in advance what it would write."""
        return (self._frame_name(0),)

    def __iter__(self) -> Iterator[Frame | BrokenFrame]:
        number, index, grabbed = 0, 0, True  # the constructor grabbed the first frame
        position = 0.0
        try:
            while grabbed and not self._stopped.is_set():
                if number % self._every == 0:
                    if not self.skip(str(self._path), index):
                        frame = self._retrieve(number, index)
                        self._note(frame)
                        yield frame
                    index += 1
                position = self._capture.get(cv2.CAP_PROP_POS_MSEC)
                grabbed = self._capture.grab()
                number += 1
            if not grabbed and self._ends_early(number, position):
                error = DataError(
                    f"{self._path} ends early: {number} of {self._announced} frames were read.",
                    "Replace the file by a complete one; an interrupted recording is truncated.",
                )
                broken = BrokenFrame(str(self._path), index, error)
                if not self.skip(str(self._path), index):
                    self._note(broken)
                    yield broken
        finally:
            self._capture.release()

    def _ends_early(self, number: int, position: float) -> bool:
        """Whether frames are missing at the end.

        Args:
            number: frames read.
            position: time of the last one, in milliseconds.
        """
        if number >= self._announced - max(1, self._announced // 100):
            return False
        if self._path.suffix.lower() == ".avi" or not self._fps:
            return True  # the count is exact
        # Elsewhere it may be computed from the duration, which is wrong where the rate varies: then the last
        # frame is still near the end.
        return position < 1000 * (self._announced - max(2, self._announced // 50)) / self._fps

    def _retrieve(self, number: int, index: int) -> Frame | BrokenFrame:
        start = time.perf_counter()
        done, image = self._capture.retrieve()
        if not done:
            error = DataError(f"{self._path}: cannot decode frame {number}.")
            return BrokenFrame(str(self._path), index, error)
        elapsed = 1000 * (time.perf_counter() - start)
        return Frame(
            np.asarray(image, dtype=np.uint8),
            str(self._path),
            self._frame_name(number),
            index,
            time.time(),
            elapsed,
        )

    def _frame_name(self, number: int) -> str:
        return f"{self._path.name}/frame-{number:06d}"
