"""An annotated video: the overlays one after the other, of one size, at a steady rate."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.quiet import silent
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.file_options import FileOptions, reason
from dmdd_edge.runtime.sinks.overlays import OverlayCache
from dmdd_edge.runtime.sinks.recovery import find_parts, part_path
from dmdd_edge.runtime.sinks.video_clock import VideoClock
from dmdd_edge.runtime.summary import Summary

# What pip's OpenCV can write; it has no H.264. Of these, browsers play VP8 alone.
_CODECS = {".webm": "VP80", ".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
_NAMES = {"VP80": "VP8", "mp4v": "MPEG-4", "MJPG": "MJPEG"}

#: The longer side of the video at most, in pixels.
MAX_SIDE = 1280

#: A disk with less free space than this (or a tenth of it, if that is less) gets no more frames, in bytes.
RESERVE = 64_000_000


class Video:
    """Writes the overlays as a video; ``.webm``, ``.mkv``, ``.avi`` or ``.mp4`` by the file's suffix.

    Browsers play ``.webm`` (VP8), which takes some 50 ms of a core per frame of 640 x 480, and none of the
    others, which take a tenth of that; players such as VLC and mpv play all of them.

    The first frame gives the size, scaled down to 1280 pixels on the longer side; others are fitted into it.
    A run that ends by Ctrl-C or SIGTERM leaves a video that plays. After ``kill -9`` or a loss of power:

    - ``.mkv`` (MPEG-4) plays up to the last six seconds or so, ``.webm`` up to the last ten, and ``.avi``
      (MJPG, five times larger) nearly to the end;
    - ``.mp4`` (MPEG-4) does not play: its index is written at the end. OpenCV cannot write fragments.

    Rotation begins a new file near the size asked for, since frames are written in blocks. An earlier video
    at the same place is put aside as a part when the run is resumed or appends. A disk that is nearly full
    gets no more frames until there is space again, and neither does a file that cannot be begun after a
    rotation; such frames are counted and that is said.

    Args:
        path: the file; its folder is made.
        fps: frames a second of the video.
        real_time: of a live source, so that the video takes as long as what it shows; see ``VideoClock``.
            False makes each frame one of the video.
        options: how files are written.

    Attributes:
        written: frames written, repeated ones included.
        lost: frames left out because the disk was full or the file could not be begun.

    Raises:
        DmddError: another suffix, a rate that cannot be, an earlier video that is not to be touched.
    """

    def __init__(
        self,
        path: Path,
        fps: float,
        real_time: bool = False,
        options: FileOptions = FileOptions(),
        cache: OverlayCache | None = None,
    ) -> None:
        if path.suffix.lower() not in _CODECS:
            raise OptionError(
                f"--video {path} is not a supported video format.", "Name a .webm, .mkv, .avi or .mp4."
            )
        if not 0 < fps <= 1000:
            raise OptionError(f"--video-fps is {fps:g}.", "Give a rate above 0 and up to 1000.")
        self._path, self._fps, self._options = path, fps, options
        self._clock = VideoClock(fps) if real_time else None
        self._cache = cache or OverlayCache()
        self._writer: cv2.VideoWriter | None = None
        self._file: tuple[int, int] | None = None
        self._size = (0, 0)
        self._previous: NDArray[np.uint8] | None = None
        self._full = self._aside_due = self._away = False
        self.written = self.lost = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = find_parts(path)
            self._number = parts[-1][0] + 1 if parts else 1
            if path.exists() and options.existing == "refuse":
                raise DmddError(
                    f"{path} is there already.", "Give --overwrite to replace it, or name another file."
                )
            self._keep, self._ledger = options.keep, None
            if options.keep is not None:
                self._ledger = options.keep.ledger(path.parent, f".{path.name}.dmdd-edge-files")
                options.keep.count_in_use(lambda: 0 if self._writer is None else _size_of(path))
        except OSError as error:
            raise DmddError(f"{path} cannot be written: {reason(error)}.", "Name another file.") from error

    def result(self, frame: Frame, result: Result) -> None:
        """Add the frame's overlay.

        Raises:
            DmddError: OpenCV cannot write such a video, and nothing has been written yet.
        """
        repeats = 1 if self._clock is None else self._clock.repeats(result.time)
        if repeats == 0:
            return
        self._check_place()
        if self._disk_is_full():
            self.lost += 1
            return
        if self._keep is not None:
            self._keep.make_room(0, self._path.name)
        picture = self._fitted(self._cache.draw(frame, result))
        try:
            writer = self._opened()
        except (DmddError, OSError) as error:
            if self.written == 0:
                raise self._cannot_write() from error
            self.lost += 1
            if not self._away:
                self._options.note(f"{self._path} cannot be written; the run goes on without a video.")
            self._away = True
            return
        self._away = False
        earlier = picture if self._previous is None else self._previous
        for _ in range(repeats - 1):
            writer.write(earlier)
        writer.write(picture)
        self.written += repeats
        self._previous = picture if self._clock is not None else None
        limit = self._options.rotate_at
        if limit is not None and _size_of(self._path) >= limit - limit // 8:
            self._release()
            self._aside_due = True
            with contextlib.suppress(OSError):  # it is tried again before the next frame
                self._put_aside()

    def broken(self, frame: BrokenFrame) -> None:
        """Nothing: there is no picture."""

    def summary(self, summary: Summary) -> None:
        """Nothing: the video has no summary."""

    def close(self) -> None:
        """Finish the video."""
        self._release()
        if self.lost:
            self._options.note(
                f"{self._path}: {self.lost} frames are missing, since it could not be written."
            )
        if self.written:
            codec = _NAMES[_CODECS[self._path.suffix.lower()]]
            plays = "browsers and players" if codec == "VP8" else "players; name a .webm for browsers"
            self._options.note(f"{self._path}: {self.written} frames in {codec}, for {plays}.")

    def _opened(self) -> cv2.VideoWriter:
        if self._writer is None:
            # Only now: a resumed run that has nothing left to do leaves the earlier video where it is.
            earlier = self.written == 0 and self._options.existing in ("append", "resume")
            if self._aside_due or (earlier and _size_of(self._path)):
                self._put_aside()
            codec = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix.lower()])
            with silent():  # FFmpeg tells of a tag that it replaces, and that is no news for a user
                self._writer = cv2.VideoWriter(str(self._path), codec, self._fps, self._size)
            if not self._writer.isOpened():
                self._writer = None
                raise self._cannot_write()
            self._file = self._inode()
        return self._writer

    def _check_place(self) -> None:
        """Begin a new video where the present one was removed or moved away."""
        if self._writer is None or self._inode() == self._file:
            return
        self._options.note(f"{self._path} was removed, moved or replaced. A new video is begun there.")
        self._release()
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def _inode(self) -> tuple[int, int] | None:
        """What tells the file from others; None when there is none."""
        try:
            found = self._path.stat()
        except OSError:
            return None
        return found.st_dev, found.st_ino

    def _cannot_write(self) -> DmddError:
        return DmddError(
            f"{self._path}: OpenCV cannot write such a video there.",
            "Check that the folder can be written, or name a .avi.",
        )

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _put_aside(self) -> None:
        """Give the video its name as a part, so that a new one can begin."""
        while (part := part_path(self._path, self._number)).exists():
            self._number += 1
        if self._ledger is not None:
            found = self._path.stat()
            self._ledger.enter(part.name, found.st_size, found.st_mtime_ns)
        self._path.rename(part)
        self._aside_due = False

    def _fitted(self, picture: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """A picture in the size of the video, black where it does not fill it."""
        height, width = picture.shape[:2]
        if self._size == (0, 0):
            scale = min(1.0, MAX_SIDE / max(height, width))
            # The codecs take even sides only.
            self._size = (max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2))
        across, down = self._size
        if (width, height) == self._size:
            return picture
        scale = min(across / width, down / height)
        w, h = max(1, min(across, round(width * scale))), max(1, min(down, round(height * scale)))
        fitted = np.zeros((down, across, 3), np.uint8)
        x, y = (across - w) // 2, (down - h) // 2
        fitted[y : y + h, x : x + w] = cv2.resize(picture, (w, h), interpolation=cv2.INTER_AREA)
        return fitted

    def _disk_is_full(self) -> bool:
        # OpenCV does not say that a frame could not be written, so there must be space before.
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            full = True
        else:
            size = disk.f_frsize * disk.f_blocks
            full = disk.f_frsize * disk.f_bavail < min(RESERVE, size // 10)
        if full and not self._full:
            self._options.note(f"{self._path} gets no more frames: the disk is nearly full. The run goes on.")
        if self._full and not full:
            self._options.note(f"{self._path} gets frames again; {self.lost} are missing.")
        self._full = full
        return full


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
