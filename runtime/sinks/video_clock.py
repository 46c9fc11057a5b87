"""Which frames of a steady video a camera's frames become, so that it plays as fast as things happened."""

from __future__ import annotations

#: A pause of a live source is shown for so long at most, in seconds.
MAX_PAUSE = 2.0


class VideoClock:
    """Frames that come too fast are left out; where none comes, the one before is repeated.

    Args:
        fps: frames a second of the video.
    """

    def __init__(self, fps: float) -> None:
        self._fps = fps
        self._start: float | None = None
        self._written = 0

    def repeats(self, time: float) -> int:
        """How many frames of the video are due with a frame: 0 leaves it out, more repeat the one before.

        Args:
            time: when it was grabbed, in seconds.
        """
        if self._start is None:
            self._start = time
        due = round((time - self._start) * self._fps) + 1 - self._written
        longest = max(1, round(MAX_PAUSE * self._fps))
        if due > longest or due < -longest:
            # A pause, or a clock that was set: the video goes on from here.
            due = longest if due > 0 else 1
            self._start = time - (self._written + due - 1) / self._fps
        due = max(0, due)
        self._written += due
        return due
