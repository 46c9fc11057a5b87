"""A GenICam camera as a device of ``LiveSource``, and of whatever takes every frame of a triggered camera."""

from __future__ import annotations

import re
import threading
import time

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError, SourceError
from dmdd_edge.runtime.sources.camera_settings import CameraSettings, genicam_settings
from dmdd_edge.runtime.sources.genicam import open_driver
from dmdd_edge.runtime.sources.genicam.address import PREFIX, parse_address
from dmdd_edge.runtime.sources.genicam.find import choose_camera
from dmdd_edge.runtime.sources.genicam.interface import GenicamCamera, GenicamDriver, InUseError, RawFrame
from dmdd_edge.runtime.sources.genicam.pixels import CHEAP, FORMAT_NAMES, to_bgr, unsupported
from dmdd_edge.runtime.sources.genicam.settings import Settings, apply_settings, completed, release
from dmdd_edge.runtime.sources.live_device import LostError, MissingFrameError, Stamp
from dmdd_edge.runtime.sources.options import SourceOptions

#: Seconds between two looks at whether the camera still answers, and the longest wait for a stop.
_WAIT = 0.5
#: Seconds for which a camera that another program controls is asked again: a program that crashed a moment
#: ago keeps it until its heartbeat is missed.
_IN_USE = 5.0
#: Larger gaps between frame numbers are a restarted count rather than lost frames.
_LARGEST_GAP = 1000
_CHECK = "Check its cable, and the frame rate and the packet size against what the network carries."


class GenicamDevice:
    """A camera that speaks GigE Vision or USB3 Vision.

    Args:
        source: ``genicam://SERIAL?Feature=value``; without a serial number the only camera there is.
        options: size, rate, exposure, gain, the driver, and how long a frame may take.

    Raises:
        DmddError: the address is malformed, or no driver is installed.
    """

    def __init__(self, source: str, options: SourceOptions) -> None:
        self._address, self._options = parse_address(source), options
        self._serial = self._address.serial
        self._named(self._serial)
        self._driver, self._passed_over = open_driver(options.genicam_driver)
        self._camera: GenicamCamera | None = None
        self._frame: RawFrame | None = None
        self._held: RawFrame | None = None
        self._lost = self._last_id = 0
        self._armed = False
        self._trigger_source = ""
        self._detail = ""

    @property
    def driver(self) -> GenicamDriver:
        """The library in use."""
        return self._driver

    @property
    def armed(self) -> bool:
        """Whether the camera waits for triggers (TriggerMode is On), so that no frame may come for long."""
        return self._armed

    def open(self, stop: threading.Event) -> None:
        """Find the camera, set every feature, read them back, and start its stream."""
        found = choose_camera(self._driver.find(), self._serial)
        # The same camera after a loss, also when another one was connected meanwhile.
        self._serial = self._serial or found.serial
        self._named(self._serial)
        deadline = time.monotonic() + _IN_USE
        while True:
            try:
                camera = self._driver.open(found)
                break
            except InUseError:
                if time.monotonic() > deadline or stop.wait(_WAIT):
                    raise
        self._camera = camera
        try:
            release(camera)
            settings = completed(camera, self._address.settings, self._options)
            self._check_format(camera, settings)
            phrases = apply_settings(camera, settings, self.name)
            trigger = camera.feature("TriggerMode")
            self._armed = trigger is not None and trigger.value == "On"
            self._trigger_source = self._source(camera)
            image = self._image(camera)
            self._held = self._frame = None
            self._last_id = -1
            camera.start(keep_packet_size=any(name == "GevSCPSPacketSize" for name, _ in settings))
        except DmddError:
            self.close()
            raise
        driver = f"{self._driver.name} {self._driver.version}"
        if self._passed_over:
            driver += f" ({self._passed_over.rstrip('.')})"
        model = " ".join(filter(None, [found.vendor, found.model]))
        trigger_phrase = ["waits for triggers"] if self._armed else []
        self._detail = ", ".join([f"{model} by {driver}", image, *phrases, *trigger_phrase])

    def grab(self, stop: threading.Event) -> None:
        """Wait for a frame: without limit while the camera waits for triggers, as long as it answers.

        A frame whose number shows that frames before it never arrived is preceded by one broken frame for
        each of them.
        """
        camera = self._camera
        if camera is None:
            raise LostError(f"{self.name} is closed")
        if self._lost or self._held is not None:
            self._advance()
            return
        start = time.monotonic()
        while not stop.is_set():
            try:
                frame = camera.next(_WAIT)
            except SourceError as error:
                raise LostError(f"{self.name}: {error.message.rstrip('.')}", _CHECK) from None
            if frame is not None:
                self._held, self._lost = frame, self._gap(frame)
                self._advance()
                return
            if not camera.alive():
                raise LostError(f"{self.name} does not answer any more", "Check its cable and its power.")
            if not self._armed and time.monotonic() - start > self._options.stream_timeout:
                raise LostError(f"{self.name} sent no frame for {self._options.stream_timeout:g} s", _CHECK)

    def retrieve(self) -> NDArray[np.uint8]:
        """Convert the grabbed frame to BGR.

        Raises:
            DmddError: the frame is incomplete, or never arrived.
        """
        frame = self._frame
        if frame is None:
            raise MissingFrameError(f"{self.name}: a frame never arrived; its number is missing.", _CHECK)
        if frame.problem:
            raise SourceError(f"{self.name}: frame {frame.frame_id} is incomplete: {frame.problem}.", _CHECK)
        return to_bgr(frame, self.name)

    def stamp(self) -> Stamp:
        """The camera's own number and time of the grabbed frame; empty for one that never arrived."""
        return Stamp() if self._frame is None else Stamp(self._frame.frame_id, self._frame.timestamp_ns)

    def fire(self) -> None:
        """Trigger one frame by software; from any thread.

        Raises:
            SourceError: the camera is closed, does not listen to software, or does not answer.
        """
        camera = self._camera
        if camera is None:
            raise SourceError(f"{self.name} is not connected.", "It is opened again as soon as it answers.")
        if not self._armed or self._trigger_source not in ("", "Software"):
            state = f"TriggerSource is {self._trigger_source}" if self._armed else "TriggerMode is Off"
            raise SourceError(
                f"{self.name} cannot be triggered by software: {state}.",
                "Write TriggerMode=On&TriggerSource=Software in its address.",
            )
        camera.execute("TriggerSoftware")

    def close(self) -> None:
        """Stop the stream and release the camera."""
        camera, self._camera = self._camera, None
        if camera is not None:
            camera.close()

    def detail(self) -> str:
        """Model, driver, image, and the features as read back."""
        return self._detail

    def settings(self) -> CameraSettings | None:
        """The standard features as the camera reports them now; None where it does not answer."""
        camera = self._camera
        return None if camera is None else genicam_settings(camera)

    def _named(self, serial: str) -> None:
        self.name = f"{PREFIX}{serial}"
        self.label = re.sub(r"[^A-Za-z0-9.-]", "-", serial).strip(".-") or "genicam"

    def _advance(self) -> None:
        """Take the next of the frames that never arrived, or else the frame held."""
        if self._lost:
            self._lost -= 1
            self._frame = None
        else:
            self._frame, self._held = self._held, None

    def _gap(self, frame: RawFrame) -> int:
        """How many frames are missing between the one before and this one, by their numbers."""
        last, number = self._last_id, frame.frame_id
        if number is None:
            return 0
        self._last_id = number
        if last < 0:
            return 0
        step = number - last
        if step < 0 and last <= 0xFFFF:
            step += 0xFFFF  # GigE Vision 1 counts from 1 to 65535
        return step - 1 if 1 < step <= _LARGEST_GAP else 0

    def _check_format(self, camera: GenicamCamera, settings: Settings) -> None:
        """Refuse a format that cannot be converted before the camera takes it."""
        for name, text in settings:
            if name == "PixelFormat" and text not in FORMAT_NAMES:
                feature = camera.feature(name)
                if feature is not None and text in feature.entries:
                    raise unsupported(text, self.name, feature.entries)

    @staticmethod
    def _source(camera: GenicamCamera) -> str:
        """What triggers it; empty if the camera does not say."""
        source = camera.feature("TriggerSource")
        return "" if source is None or source.value is None else str(source.value)

    def _image(self, camera: GenicamCamera) -> str:
        """Format and size, and what another format would cost less."""
        try:
            format_, width, height = (camera.feature(name) for name in ("PixelFormat", "Width", "Height"))
        except SourceError:  # a format that its own list leaves out; the frames say which
            return "a pixel format that the camera does not name"
        if format_ is None or format_.value is None:
            return "a pixel format that the camera does not name"
        name = str(format_.value)
        if name not in FORMAT_NAMES:
            raise unsupported(name, self.name, format_.entries)
        text = name
        if width is not None and height is not None:
            text += f" {width.value} x {height.value}"
        cheap = next((one for one in CHEAP if one in format_.entries), "")
        if FORMAT_NAMES[name].host and cheap:
            without = ", without colors" if cheap == "Mono8" else ""
            text += f" (converted by this machine; PixelFormat={cheap} costs it less{without})"
        return text
