"""USB and other V4L2 cameras."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import cv2

from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.sources.camera_settings import CameraSettings, v4l2_settings
from dmdd_edge.runtime.sources.cameras import busy, check_camera
from dmdd_edge.runtime.sources.capture import CaptureDevice
from dmdd_edge.runtime.sources.controls import apply_controls
from dmdd_edge.runtime.sources.live_device import LostError
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.v4l2 import Mode, V4l2Device

#: OpenCV's default.
_DEFAULT_SIZE = (640, 480)
#: Seconds; a first frame that seems older was stamped with another clock.
_OLDEST = 5.0
#: Seconds by which a driver may stamp a frame too late, such as with the end that it computed for it.
_AHEAD = 1.0


class Camera(CaptureDevice):
    """A camera of this machine, read by OpenCV through V4L2.

    Args:
        path: its device, such as /dev/video0, or a link to it in /dev/v4l/by-id, which stays the same when
            cameras are connected in another order.
        options: size, rate, exposure, gain, white balance and further controls.

    Attributes:
        patient: wait for a frame for as long as the camera is connected, since a hardware trigger begins it.
    """

    def __init__(self, path: str, options: SourceOptions) -> None:
        self.patient = False
        self._stamps = False  # whether the driver stamps frames with the clock of ``perf_counter``
        super().__init__(path, Path(path).name)
        self._options = options
        self._detail = ""

    def open(self, stop: threading.Event) -> None:
        """Open and configure it, and read the settings back."""
        check_camera(self.name)
        with V4l2Device(self.name) as device:
            modes = device.modes()
        capture = cv2.VideoCapture(self.name, cv2.CAP_V4L2)
        self._capture = capture
        if not capture.isOpened():
            # Another program may have opened it since the check.
            check_camera(self.name)
            raise SourceError(
                f"Camera {self.name} does not open.",
                "Unplug it and plug it in again; `dmesg` may show the cause.",
            )
        format_, size = self._set_mode(capture, modes)
        with V4l2Device(self.name) as device:
            settings = apply_controls(device, self._options, self.name)
        rate = capture.get(cv2.CAP_PROP_FPS)
        speed = f"{rate:g} frames/s"
        if self._options.camera_fps is not None and abs(rate - self._options.camera_fps) > 0.5:
            speed += f" (requested: {self._options.camera_fps:g})"
        self._detail = ", ".join([f"{format_} {size[0]} x {size[1]}", speed, *settings])

    def grab(self, stop: threading.Event) -> None:
        """Wait for a frame; OpenCV times out after 10 s."""
        start = time.monotonic()
        while self._capture is None or not self._capture.grab():
            # A camera that is lost fails at once.
            waited, start = time.monotonic() - start, time.monotonic()
            if self.patient and waited > 1 and not stop.is_set() and _answers(self.name):
                continue
            raise LostError(
                f"Camera {self.name} stopped delivering frames",
                "Check its cable; on a shared USB hub, a smaller --camera-size or --camera-fps may help.",
            )

    def taken(self) -> float | None:
        """When the driver got the grabbed frame, by ``time.perf_counter``: most stamp it with that clock."""
        assert self._capture is not None
        stamp, now = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000, time.perf_counter()
        # Once it is known to be that clock, a frame may be of any age: this program may have been suspended.
        self._stamps = 0 < stamp < now + _AHEAD and (self._stamps or now - stamp < _OLDEST)
        return min(stamp, now) if self._stamps else None

    def detail(self) -> str:
        """Format, size, rate and controls, as read back."""
        return self._detail

    def settings(self) -> CameraSettings | None:
        """Every control as the driver reports it now; None where it does not."""
        return v4l2_settings(self.name)

    def _set_mode(self, capture: cv2.VideoCapture, modes: list[Mode]) -> tuple[str, tuple[int, int]]:
        """Set format, size and rate; return the format and size read back."""
        wanted = self._options.camera_size
        size = wanted or _DEFAULT_SIZE
        # MJPG before size and rate: USB carries large uncompressed images at a few frames per second only.
        if any(mode.fourcc == "MJPG" and (mode.width, mode.height) == size for mode in modes):
            capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        if wanted is not None:
            capture.set(cv2.CAP_PROP_FRAME_WIDTH, size[0])
            capture.set(cv2.CAP_PROP_FRAME_HEIGHT, size[1])
        if self._options.camera_fps is not None:
            capture.set(cv2.CAP_PROP_FPS, self._options.camera_fps)
        code = int(capture.get(cv2.CAP_PROP_FOURCC))
        format_ = (
            code.to_bytes(4, "little", signed=code < 0).decode("latin-1").strip("\0 ") or "unknown format"
        )
        actual = (int(capture.get(cv2.CAP_PROP_FRAME_WIDTH)), int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT)))
        if wanted is not None and actual != wanted:
            if actual == (0, 0):
                raise busy(self.name)
            sizes = sorted({(mode.width, mode.height) for mode in modes})
            offers = ", ".join(f"{width}x{height}" for width, height in sizes) or f"{actual[0]}x{actual[1]}"
            raise SourceError(
                f"{self.name} does not support --camera-size {wanted[0]}x{wanted[1]}.",
                f"Choose one of: {offers}.",
            )
        return format_, actual


def _answers(path: str) -> bool:
    """Whether the camera is still connected."""
    try:
        with V4l2Device(path) as device:
            return device.card() is not None
    except OSError:
        return False
