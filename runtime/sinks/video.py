"""An annotated video: the overlays one after the other, in one size, at a constant rate."""

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
from dmdd_edge.runtime.sinks.file_options import FileOptions, cannot_write
from dmdd_edge.runtime.sinks.overlays import OverlayCache
from dmdd_edge.runtime.sinks.recovery import find_parts, part_path
from dmdd_edge.runtime.sinks.video_clock import VideoClock
from dmdd_edge.runtime.summary import Summary

# What pip's OpenCV can write; it has no H.264. Browsers play only VP8 of these.
_CODECS = {".webm": "VP80", ".mp4": "mp4v", ".mkv": "mp4v", ".avi": "MJPG"}
_NAMES = {"VP80": "VP8", "mp4v": "MPEG-4", "MJPG": "MJPEG"}

#: Largest longer side of the video, in pixels.
MAX_SIDE = 1280

#: No frames are written to a disk with less free space than this (or a tenth of it, if less), in bytes.
RESERVE = 64_000_000


class Video:
    """Writes the overlays as a video; ``.webm``, ``.mkv``, ``.avi`` or ``.mp4`` by the file's suffix.

    Browsers play only ``.webm`` (VP8), which costs some 50 ms of a core per frame of 640 x 480; the others
    cost a tenth of that. Players such as VLC and mpv play all of them.

    The first frame sets the size, scaled down to 1280 pixels on the longer side; others are fitted into it.
    A run that ends by Ctrl-C or SIGTERM leaves a playable video. After ``kill -9`` or a power cut:

    - ``.mkv`` (MPEG-4) plays except for about the last six seconds, ``.webm`` except for the last ten, and
      ``.avi`` (MJPG, five times larger) nearly to the end;
    - ``.mp4`` (MPEG-4) does not play: its index is written at the end. OpenCV cannot write fragments.

    Rotation begins a new file near the requested size, because frames are written in blocks. An earlier video
    at the same place is renamed to a part if the run is resumed or appends. Frames are omitted while the disk
    is nearly full or the file cannot be opened after a rotation; they are counted and reported.

    Args:
        path: the file; its folder is created.
        fps: frames per second of the video.
        real_time: for a live source: the video lasts as long as what it shows; see ``VideoClock``. False:
            each frame becomes one of the video.
        options: how files are written.
        cache: shared with the run's other sinks that show overlays; None for an own one.

    Attributes:
        written: frames written, repeated ones included.
        lost: frames omitted because the disk was full or the file could not be opened.

    Raises:
        DmddError: unsupported suffix, invalid rate, or an earlier video that must not change.
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
        self._full = self._rename_due = self._failing = False
        self.written = self.lost = 0
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            parts = find_parts(path)
            self._number = parts[-1][0] + 1 if parts else 1
            if path.exists() and options.existing == "refuse":
                raise OptionError(
                    f"{path} already exists.", "Add --overwrite to replace it, or name another file."
                )
            self._quota, self._ledger = options.keep, None
            if options.keep is not None:
                self._ledger = options.keep.ledger(path.parent, f".{path.name}.dmdd-edge-files")
                options.keep.count_in_use(lambda: 0 if self._writer is None else _size_of(path))
        except OSError as error:
            raise cannot_write(path, error, "Name another file.") from error

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
        if self._quota is not None:
            self._quota.make_room(0, self._path.name)
        image = self._fitted(self._cache.draw(frame, result))
        try:
            writer = self._opened()
        except (DmddError, OSError) as error:
            if self.written == 0:
                raise self._cannot_write() from error
            self.lost += 1
            if not self._failing:
                self._options.note(f"{self._path} cannot be written; the run continues without a video.")
            self._failing = True
            return
        self._failing = False
        earlier = image if self._previous is None else self._previous
        for _ in range(repeats - 1):
            writer.write(earlier)
        writer.write(image)
        self.written += repeats
        self._previous = image if self._clock is not None else None
        limit = self._options.rotate_at
        if limit is not None and _size_of(self._path) >= limit - limit // 8:
            self._release()
            self._rename_due = True
            with contextlib.suppress(OSError):  # tried again before the next frame
                self._rename_to_part()

    def broken(self, frame: BrokenFrame) -> None:
        """No effect: there is no image."""

    def summary(self, summary: Summary) -> None:
        """No effect: the video has no summary."""

    def close(self) -> None:
        """Finish the video."""
        self._release()
        if self.lost:
            self._options.note(
                f"{self._path}: {self.lost} frames are missing because it could not be written."
            )
        if self.written:
            codec = _NAMES[_CODECS[self._path.suffix.lower()]]
            plays = "browsers and players" if codec == "VP8" else "players; name a .webm for browsers"
            self._options.note(f"{self._path}: {self.written} frames in {codec}, for {plays}.")

    def _opened(self) -> cv2.VideoWriter:
        if self._writer is None:
            # Only now: a resumed run with no frames left keeps the earlier video in place.
            earlier = self.written == 0 and self._options.existing in ("append", "resume")
            if self._rename_due or (earlier and _size_of(self._path)):
                self._rename_to_part()
            codec = cv2.VideoWriter.fourcc(*_CODECS[self._path.suffix.lower()])
            with silent():  # FFmpeg reports a tag that it replaces, which does not concern the user
                self._writer = cv2.VideoWriter(str(self._path), codec, self._fps, self._size)
            if not self._writer.isOpened():
                self._writer = None
                raise self._cannot_write()
            self._file = self._inode()
        return self._writer

    def _check_place(self) -> None:
        """Begin a new video if the current one was removed or moved."""
        if self._writer is None or self._inode() == self._file:
            return
        self._options.note(f"{self._path} was removed, moved or replaced. A new video is begun there.")
        self._release()
        with contextlib.suppress(OSError):
            self._path.parent.mkdir(parents=True, exist_ok=True)

    def _inode(self) -> tuple[int, int] | None:
        """Identity of the file; None if it does not exist."""
        try:
            status = self._path.stat()
        except OSError:
            return None
        return status.st_dev, status.st_ino

    def _cannot_write(self) -> DmddError:
        return DmddError(
            f"{self._path}: OpenCV cannot write this video.",
            "Check that the folder is writable, or name a .avi.",
        )

    def _release(self) -> None:
        if self._writer is not None:
            self._writer.release()
            self._writer = None

    def _rename_to_part(self) -> None:
        """Rename the video to a part, so that a new one can begin."""
        while (part := part_path(self._path, self._number)).exists():
            self._number += 1
        if self._ledger is not None:
            status = self._path.stat()
            self._ledger.enter(part.name, status.st_size, status.st_mtime_ns)
        self._path.rename(part)
        self._rename_due = False

    def _fitted(self, image: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """An image in the size of the video, black where it does not fill it."""
        height, width = image.shape[:2]
        if self._size == (0, 0):
            scale = min(1.0, MAX_SIDE / max(height, width))
            # The codecs require even sides.
            self._size = (max(2, int(width * scale) // 2 * 2), max(2, int(height * scale) // 2 * 2))
        across, down = self._size
        if (width, height) == self._size:
            return image
        scale = min(across / width, down / height)
        w, h = max(1, min(across, round(width * scale))), max(1, min(down, round(height * scale)))
        fitted = np.zeros((down, across, 3), np.uint8)
        x, y = (across - w) // 2, (down - h) // 2
        fitted[y : y + h, x : x + w] = cv2.resize(image, (w, h), interpolation=cv2.INTER_AREA)
        return fitted

    def _disk_is_full(self) -> bool:
        # OpenCV does not report a frame that it could not write, so there must be space before.
        try:
            disk = os.statvfs(self._path.parent)
        except OSError:
            full = True
        else:
            size = disk.f_frsize * disk.f_blocks
            full = disk.f_frsize * disk.f_bavail < min(RESERVE, size // 10)
        if full and not self._full:
            self._options.note(f"{self._path} gets no frames: the disk is nearly full. The run continues.")
        if self._full and not full:
            self._options.note(f"{self._path} gets frames again; {self.lost} are missing.")
        self._full = full
        return full


def _size_of(path: Path) -> int:
    try:
        return path.stat().st_size
    except OSError:
        return 0
