"""The cameras of a station: opened, opened again when that failed, and watched."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Iterable, Mapping

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.frame import BrokenFrame
from dmdd_edge.runtime.station.frame_errors import FrameError
from dmdd_edge.runtime.station.model import ErrorCode, FrameRequest, StationCamera

_LOG = logging.getLogger(__name__)
#: Seconds between two attempts to open a camera.
_RETRY = 2.0
#: Seconds that ``stop`` waits for cameras that are being opened, all together.
_LEAVE = 5.0
_OPENING = "is being opened"


class CameraRoom:
    """Opens each camera in a separate thread, so that one that is absent does not delay the others.

    Args:
        cameras: by name.
        say: receives what a person should know, one line each.
    """

    def __init__(self, cameras: Mapping[str, StationCamera], say: Callable[[str], None]) -> None:
        self._cameras, self._say = cameras, say
        self._closed = dict.fromkeys(cameras, _OPENING)
        self._stopped = threading.Event()
        self._threads = [
            threading.Thread(target=self._open, args=(name,), name=f"dmdd-open {name}", daemon=True)
            for name in cameras
        ]

    def start(self) -> None:
        """Begin to open the cameras."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """Release every camera; one that is being opened is waited for.

        A thread that is inside a driver or OpenCV when Python ends would abort the program. One that hangs
        there must not keep it from ending either.
        """
        self._stopped.set()
        for camera in self._cameras.values():
            camera.stop()
        until = time.monotonic() + _LEAVE
        for thread in self._threads:
            if thread.ident is not None:
                thread.join(max(until - time.monotonic(), 0.0))

    def opening(self, names: Iterable[str]) -> bool:
        """Whether one of these cameras is being opened for the first time."""
        return any(self._closed.get(name) == _OPENING for name in names)

    def problems(self) -> dict[str, str]:
        """Of each camera, an empty text, or what is wrong with it."""
        return {name: self._closed.get(name, "") or _problem(each) for name, each in self._cameras.items()}

    def request(self, names: Iterable[str], since: float) -> dict[str, FrameRequest]:
        """Ask cameras for the frame of a trigger; one that fails gives a broken frame.

        Args:
            names: of the cameras.
            since: of the trigger, by ``time.perf_counter``.
        """
        return {name: self._request(name, since) for name in names}

    def _request(self, name: str, since: float) -> FrameRequest:
        try:
            return self._cameras[name].request(since)
        except Exception as error:  # whatever it is, the part needs an answer
            if not isinstance(error, DmddError):
                _LOG.exception("Camera %s failed.", name)
            why = f"{error}".rstrip(".") or type(error).__name__
            return _Failed(name, FrameError(f"Camera {name} failed: {why}.", ErrorCode.CAMERA_LOST))

    def _open(self, name: str) -> None:
        said = ""
        while not self._stopped.is_set():
            try:
                self._cameras[name].start()
            except Exception as error:
                if not isinstance(error, DmddError):
                    _LOG.exception("Camera %s cannot be opened.", name)
                self._closed[name] = problem = f"{error}".strip() or type(error).__name__
                if problem != said and not self._stopped.is_set():
                    said = problem
                    self._say(f"Camera {name} cannot be opened, and is tried again: {problem}")
                self._stopped.wait(_RETRY)
            else:
                del self._closed[name]
                if said:
                    self._say(f"Camera {name} is open.")
                break
        if self._stopped.is_set():
            self._cameras[name].stop()  # it may have been opened after the end


class _Failed:
    """A request that is answered with an error."""

    def __init__(self, camera: str, error: FrameError) -> None:
        self._frame = BrokenFrame(camera, 0, error)

    def wait(self, seconds: float) -> BrokenFrame:
        """See ``FrameRequest.wait``."""
        return self._frame


def _problem(camera: StationCamera) -> str:
    state = camera.state()
    return "" if state.connected else state.message or "is lost"
