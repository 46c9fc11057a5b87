"""Streams that FFmpeg reads: rtsp:// over TCP, and http streams other than MJPEG."""

from __future__ import annotations

import socket
import threading
import time

import cv2

from dmdd_edge.errors import SourceError
from dmdd_edge.messages.addresses import redacted, split_address
from dmdd_edge.runtime.sources.capture import CaptureDevice
from dmdd_edge.runtime.sources.clock_map import ClockMap
from dmdd_edge.runtime.sources.ffmpeg import set_up_ffmpeg
from dmdd_edge.runtime.sources.live_device import LostError
from dmdd_edge.runtime.sources.rtsp_answer import PLAYS, refusal
from dmdd_edge.runtime.sources.urls import host_label

_PORTS = {"rtsp": 554, "rtsps": 322, "http": 80, "https": 443}
#: Seconds for the first handshake. A running camera responds in milliseconds, and one that is off is retried
#: soon; a longer wait would only cover the pauses between TCP's own attempts.
_CONNECT = 2.0


class FfmpegStream(CaptureDevice):
    """A stream by its address.

    OPENCV_FFMPEG_CAPTURE_OPTIONS takes precedence over our choice, RTSP over TCP; see ``set_up_ffmpeg``.

    Args:
        url: the address, which may contain user name and password.
        timeout: seconds that opening it, and then each frame, may take.
    """

    def __init__(self, url: str, timeout: float) -> None:
        super().__init__(redacted(url), host_label(url))
        self._url, self._timeout = url, timeout
        self._clock = ClockMap()

    def open(self, stop: threading.Event) -> None:
        """Connect."""
        reach(self._url, min(_CONNECT, self._timeout))
        set_up_ffmpeg()
        milliseconds = round(1000 * self._timeout)
        limits = [
            *(cv2.CAP_PROP_OPEN_TIMEOUT_MSEC, milliseconds),
            *(cv2.CAP_PROP_READ_TIMEOUT_MSEC, milliseconds),
            # Each additional decoder thread delays one more frame.
            *(cv2.CAP_PROP_N_THREADS, 2),
        ]
        capture = cv2.VideoCapture(self._url, cv2.CAP_FFMPEG, limits)
        if not capture.isOpened():
            capture.release()
            raise refusal(self._url, self._timeout)
        self._capture = capture
        self._clock.reset()

    def grab(self, stop: threading.Event) -> None:
        """Wait for a frame."""
        start = time.monotonic()
        if self._capture is None or not self._capture.grab():
            waited = time.monotonic() - start
            # FFmpeg does not report whether any data arrived meanwhile.
            reason = (
                "the stream ended"
                if waited < 0.9 * self._timeout
                else f"receives no data, or data but no image, for {self._timeout:g} s"
            )
            raise LostError(f"{self.name}: {reason}", PLAYS)

    def taken(self) -> float | None:
        """When the grabbed frame arrived, by ``time.perf_counter``, also if it waited to be decoded.

        That is by the stream's own times; without them the time of the grab, which may be later.
        """
        assert self._capture is not None
        position = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return self._clock.local(time.perf_counter(), position)

    def detail(self) -> str:
        """Nothing: the server determines a stream's settings."""
        return ""


def reach(url: str, timeout: float) -> None:
    """Connect to the server of an address and disconnect, since FFmpeg does not report why it cannot.

    Raises:
        DmddError: its host is unknown, refuses, or does not respond within ``timeout`` seconds.
    """
    name = redacted(url)
    parts = split_address(url)
    host, port = parts.hostname, parts.port or _PORTS[parts.scheme.lower()]
    if not host:
        raise SourceError(f"{name} has no host.", "Write rtsp://HOST:PORT/PATH.")
    try:
        socket.create_connection((host, port), timeout).close()
    except socket.gaierror:
        raise SourceError(f"{name}: unknown host {host}.", "Check the address, or the name server.") from None
    except ConnectionRefusedError:
        raise SourceError(
            f"{name}: {host} refused the connection to port {port}.",
            "Check the port, and that it serves streams.",
        ) from None
    except TimeoutError:
        raise SourceError(
            f"{name}: {host} did not respond on port {port} within {timeout:g} s.",
            "Check that it is on, and that this machine can reach it.",
        ) from None
    except OSError as error:
        raise SourceError(
            f"{name}: cannot reach {host}: {error.strerror or error}.", "Check the network."
        ) from None
