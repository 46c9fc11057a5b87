"""CSI cameras of a Jetson: ``csi://0``, through NVIDIA's capture service and GStreamer."""

from __future__ import annotations

import re
import threading
from fractions import Fraction

import cv2

from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.sources.capture import CaptureDevice
from dmdd_edge.runtime.sources.live_device import LostError
from dmdd_edge.runtime.sources.options import SourceOptions

PREFIX = "csi://"


class CsiCamera(CaptureDevice):
    """A camera on a Jetson's CSI port.

    Args:
        source: csi://N, N being the sensor's number.
        options: size, rate, exposure and gain.

    Raises:
        DmddError: the address is malformed, or an option is not supported by this kind of camera.
    """

    def __init__(self, source: str, options: SourceOptions) -> None:
        number = source[len(PREFIX) :].strip("/")
        if not number.isdecimal():
            raise SourceError(f"{source} is not a camera.", "Write csi://0, csi://1, ...")
        if options.white_balance is not None or options.camera_controls:
            option = "--white-balance" if options.white_balance is not None else "--camera-control"
            raise SourceError(
                f"{source} does not support {option}.", "Use it with V4L2 cameras, such as /dev/video0."
            )
        super().__init__(f"{PREFIX}{int(number)}", f"csi{int(number)}")
        self._pipeline = pipeline(int(number), options)
        self._size = (0, 0)

    def open(self, stop: threading.Event) -> None:
        """Start the pipeline."""
        if not has_gstreamer():
            raise SourceError(
                f"{self.name} needs an OpenCV with GStreamer; this one ({cv2.__version__}, {cv2.__file__}) "
                "has no GStreamer (no pip build does).",
                "On a Jetson, remove pip's (pip uninstall opencv-python) and use JetPack's: "
                "sudo apt install python3-opencv, and install dmdd-edge with --no-deps.",
            )
        capture = cv2.VideoCapture(self._pipeline, cv2.CAP_GSTREAMER)
        self._capture = capture
        if not capture.isOpened():
            raise SourceError(
                f"Camera {self.name} does not open.",
                f"Test it: gst-launch-1.0 '{self._pipeline.partition(' ! appsink')[0]} ! fakesink'; "
                "`sudo systemctl restart nvargus-daemon` releases a camera that hangs.",
            )
        width, height = capture.get(cv2.CAP_PROP_FRAME_WIDTH), capture.get(cv2.CAP_PROP_FRAME_HEIGHT)
        self._size = (int(width), int(height))

    def grab(self, stop: threading.Event) -> None:
        """Wait for a frame."""
        if self._capture is None or not self._capture.grab():
            raise LostError(
                f"Camera {self.name} stopped delivering frames",
                "Restart its service: sudo systemctl restart nvargus-daemon",
            )

    def detail(self) -> str:
        """The frame size."""
        return f"{self._size[0]} x {self._size[1]}"


def pipeline(number: int, options: SourceOptions) -> str:
    """The GStreamer pipeline of a CSI camera; its sink holds only the newest frame.

    Args:
        number: of the sensor.
        options: size, rate, exposure and gain; the sensor's defaults where they are omitted.
    """
    source = f"nvarguscamerasrc sensor-id={number}"
    if options.exposure is not None:
        nanoseconds = round(1e6 * options.exposure)
        source += f' exposuretimerange="{nanoseconds} {nanoseconds}"'
    if options.gain is not None:
        source += f' gainrange="{options.gain} {options.gain}" ispdigitalgainrange="1 1"'
    caps = "video/x-raw(memory:NVMM)"
    if options.camera_size is not None:
        caps += f",width={options.camera_size[0]},height={options.camera_size[1]}"
    if options.camera_fps is not None:
        rate = Fraction(options.camera_fps).limit_denominator(1001)
        caps += f",framerate={rate.numerator}/{rate.denominator}"
    return (
        f"{source} ! {caps} ! nvvidconv ! video/x-raw,format=BGRx ! videoconvert ! video/x-raw,format=BGR"
        " ! appsink drop=true max-buffers=1 sync=false"
    )


def has_gstreamer() -> bool:
    """Whether this OpenCV was built with GStreamer; its list of backends names it either way."""
    match = re.search(r"GStreamer:\s*(\w+)", cv2.getBuildInformation())
    return match is not None and match[1] == "YES"
