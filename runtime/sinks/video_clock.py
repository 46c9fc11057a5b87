"""Clock of a video: maps a camera's frames to a constant rate, so that it plays in real time."""

from __future__ import annotations

#: Longest duration for which a pause of a live source is shown, in seconds.
MAX_PAUSE = 2.0


class VideoClock:
    """Frames that come too fast are omitted; in a gap, the last one is repeated.

    Args:
        fps: frames per second of the video.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._start: float | None = None
        self._written = 0

    def repeats(self, time: float) -> int:
        """Number of video frames due with a frame: 0 omits it, more than 1 repeat the last one.

        Args:
            time: when it was grabbed, in seconds.
        """
        if self._start is None:
            self._start = time
        due = round((time - self._start) * self._fps) + 1 - self._written
        longest = max(1, round(MAX_PAUSE * self._fps))
        if due > longest or due < -longest:
            # A pause, or a clock that was set: the video continues from here.
            due = longest if due > 0 else 1
            self._start = time - (self._written + due - 1) / self._fps
        due = max(0, due)
        self._written += due
        return due
