"""Iterating over a source beside a test, and waiting for what it gives."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.sources import Source

#: Seconds until a condition that should come true is given up; far more than any takes on a busy machine.
PATIENCE = 60.0


class Reader:
    """Reads a source to its end in a separate thread.

    Attributes:
        frames: what came so far.
        error: what ended it, when an error did.
    """

    def __init__(self, source: Source) -> None:
        self.frames: list[Frame | BrokenFrame] = []
        self.error: BaseException | None = None
        self._source = source
        self._changed = threading.Condition()
        self._done = False
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def wait_for(self, count: int) -> list[Frame]:
        """Wait until this number arrived, and return them; none of them may be broken."""
        self.until(lambda: len(self.frames) >= count or self._done)
        assert len(self.frames) >= count, (self.frames, self.error)
        return [frame for frame in self.frames if isinstance(frame, Frame)]

    def wait_for_end(self) -> None:
        """Wait until the iteration has ended."""
        self.until(lambda: self._done)

    def let_go(self, keep: int) -> None:
        """Hold the images of the last ``keep`` frames only, for a test that measures memory."""
        with self._changed:
            for frame in self.frames[:-keep]:
                if isinstance(frame, Frame):
                    object.__setattr__(frame, "image", frame.image[:1, :1].copy())

    def stop(self) -> None:
        """Stop the source, and wait for the end."""
        self._source.stop()
        self._thread.join(PATIENCE)
        assert not self._thread.is_alive()

    def until(self, condition: Callable[[], bool]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), (self.frames, self.error)

    def _run(self) -> None:
        try:
            for frame in self._source:
                with self._changed:
                    self.frames.append(frame)
                    self._changed.notify_all()
        except BaseException as error:
            self.error = error
        with self._changed:
            self._done = True
            self._changed.notify_all()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition that nothing announces."""
    end = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.01)
