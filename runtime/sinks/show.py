"""A window with the newest overlay."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
from collections import deque
from collections.abc import Callable

import cv2

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.frame import BrokenFrame, Frame
from dmdd_edge.runtime.result import Result
from dmdd_edge.runtime.sinks.overlays import OverlayCache
from dmdd_edge.runtime.summary import Summary

_TITLE = "dmdd-edge"
_ESCAPE = 27
_WAIT_MS = 20
_LARGEST = (1280, 800)  # of the window when it opens; the user may enlarge it

_ELSE = "Use a browser with --serve 127.0.0.1:8080, or write overlays with --save out/."


class Show:
    """Shows the newest overlay in a window; ``q``, Esc or closing the window ends the run.

    OpenCV requires all window calls from one thread, for the life of the process. It is a separate thread,
    which also draws: the run never waits for the window, which omits frames that come too fast. (On Linux
    it need not be the main thread; on macOS it would.)

    Args:
        linger: show the last image after a run over files has ended, until a key is pressed.
        stopping: polled meanwhile; true closes the window, as when the user stops the program.
        cache: shared with the run's other sinks that show overlays; None for an own one.

    Raises:
        DmddError: there is no display, or this OpenCV does not support windows.
    """

    def __init__(
        self,
        linger: bool = False,
        stopping: Callable[[], bool] = lambda: False,
        cache: OverlayCache | None = None,
    ) -> None:
        _check_display()
        self._linger, self._stopping = linger, stopping
        self._cache = cache or OverlayCache()
        self._newest: deque[tuple[Frame, Result]] = deque(maxlen=1)
        self._whole = False
        self._error: cv2.error | None = None
        self._ended, self._closing, self._closed = threading.Event(), threading.Event(), threading.Event()
        _WINDOWS.do(self._run)

    @property
    def ended(self) -> bool:
        """Whether the user wants the run to end; from any thread."""
        return self._ended.is_set()

    def result(self, frame: Frame, result: Result) -> None:
        """Show the frame soon, unless a newer one comes first."""
        self._newest.append((frame, result))

    def broken(self, frame: BrokenFrame) -> None:
        """No effect: there is no image."""

    def summary(self, summary: Summary) -> None:
        """The run has ended."""
        self._whole = True

    def close(self) -> None:
        """Close the window; after a run over files has ended, once a key is pressed.

        Raises:
            DmddError: the window failed.
        """
        if self._linger and self._whole:
            while not self._stopping() and not self._ended.wait(_WAIT_MS / 1000):
                pass
        self._closing.set()
        self._closed.wait()
        if self._error is not None:
            raise OptionError(f"--show: the window failed: {self._error}.", _ELSE)

    def _run(self) -> None:
        try:
            self._show()
        except cv2.error as error:
            self._error = error
        finally:
            self._ended.set()  # also after an error: a missing window cannot be closed by hand
            self._closed.set()

    def _show(self) -> None:
        cv2.namedWindow(_TITLE, cv2.WINDOW_NORMAL | cv2.WINDOW_KEEPRATIO | cv2.WINDOW_GUI_NORMAL)
        sized = titled = False
        while not self._closing.is_set():
            if self._newest:
                image = self._cache.draw(*self._newest.pop())
                if not sized:
                    height, width = image.shape[:2]
                    scale = min(1.0, _LARGEST[0] / width, _LARGEST[1] / height)
                    cv2.resizeWindow(_TITLE, max(1, round(width * scale)), max(1, round(height * scale)))
                    sized = True
                cv2.imshow(_TITLE, image)
            if self._whole and self._linger and not titled:
                cv2.setWindowTitle(_TITLE, f"{_TITLE}: done, press a key")
                titled = True
            key = cv2.waitKey(_WAIT_MS) & 0xFF
            if key in (ord("q"), _ESCAPE) or (self._whole and key != 0xFF):
                self._ended.set()
            if cv2.getWindowProperty(_TITLE, cv2.WND_PROP_VISIBLE) < 1:
                self._ended.set()
                return
        cv2.destroyWindow(_TITLE)


class _WindowThread:
    """The only thread that calls window functions; started when needed."""

    def __init__(self) -> None:
        self._jobs: queue.SimpleQueue[Callable[[], None]] = queue.SimpleQueue()
        self._started = False

    def do(self, job: Callable[[], None]) -> None:
        """Run a function after those that already wait."""
        self._jobs.put(job)
        if not self._started:
            self._started = True
            threading.Thread(target=self._run, name="window", daemon=True).start()

    def _run(self) -> None:
        while True:
            self._jobs.get()()


_WINDOWS = _WindowThread()


def _check_display() -> None:
    """Check in another process that a window can be opened: without a display Qt ends the process.

    Raises:
        DmddError: it cannot.
    """
    if not os.environ.get("DISPLAY") and not os.environ.get("WAYLAND_DISPLAY"):
        raise OptionError("--show needs a display, but DISPLAY is not set.", _ELSE)
    code = "import cv2; cv2.namedWindow('dmdd-edge')"
    try:
        tried = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=False
        )
    except subprocess.TimeoutExpired:
        raise OptionError("--show: the display does not answer.", _ELSE) from None
    if tried.returncode == 0:
        return
    if "not implemented" in tried.stderr:
        raise OptionError(
            "--show: this OpenCV was built without window support.",
            "Install opencv-python instead of opencv-python-headless, or use a browser with --serve 8080.",
        )
    shown = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    raise OptionError(f"--show: cannot open a window on the display {shown}.", _ELSE)
