"""The cameras of a station: one frame per trigger, none lost in silence."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import replace

from dmdd_edge.errors import DmddError, OptionError, SourceError
from dmdd_edge.runtime.sources.base import SourceState, say_nothing
from dmdd_edge.runtime.sources.grabber import Grabber
from dmdd_edge.runtime.sources.live_device import Device, Paced, TriggerDevice
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.simulated import SimulatedCamera
from dmdd_edge.runtime.sources.thinning import Thinner
from dmdd_edge.runtime.station.camera_devices import camera_device, check_armed
from dmdd_edge.runtime.station.fired_frames import FiredFrames
from dmdd_edge.runtime.station.following_frames import FollowingFrames
from dmdd_edge.runtime.station.frame_requests import FrameRequests, Request
from dmdd_edge.runtime.station.leading_frames import LeadingFrames
from dmdd_edge.runtime.station.model import ErrorCode, FrameRequest
from dmdd_edge.runtime.station.next_frames import FreeFrames, NextFrames
from dmdd_edge.runtime.station.settings import CameraSettings

#: Seconds that ``stop`` waits for the device's release.
_RELEASE = 1.0


class Camera:
    """A camera of a station, see ``StationCamera``.

    Args:
        settings: of the station file.
        device: delivers the frames; what the settings' source names if omitted.
        say: called with one line when the camera is lost, and when it is back.

    Raises:
        DmddError: the source is not a camera, the trigger does not suit it, or an option does not apply.
    """

    def __init__(
        self,
        settings: CameraSettings,
        device: Device | None = None,
        say: Callable[[str], None] = say_nothing,
    ) -> None:
        self.name, self.mode, self.settings = settings.name, settings.trigger, settings
        self._say = say
        self._device = device or camera_device(settings)
        self._label = re.sub(r"[^A-Za-z0-9._-]", "-", settings.name).strip(".-") or "camera"
        self._arrived: Callable[[FrameRequest, float], None] | None = None
        self._missed: Callable[[float, ErrorCode], None] | None = None
        self._prepare()

    def request(self, since: float) -> Request:
        """Ask for the frame of a trigger; returns at once. See ``StationCamera.request``."""
        return self._frames.request(since)

    def lead(self, arrived: Callable[[FrameRequest, float], None]) -> None:
        """Call ``arrived`` with each frame that begins a part; see ``StationCamera.lead``."""
        if self.mode not in ("free", "camera"):
            raise ValueError(f"a camera with the trigger {self.mode} begins no parts")
        self._arrived = arrived
        self._prepare()

    def watch(self, missed: Callable[[float, ErrorCode], None]) -> None:
        """Call ``missed`` with each frame that no part gets; see ``StationCamera.watch``."""
        self._missed = missed
        self._prepare()

    def start(self) -> None:
        """Open the camera, and begin to take frames.

        Raises:
            DmddError: the camera cannot be opened, or its own trigger setting contradicts the station file.
        """
        try:
            self._grabber.open()
            check_armed(self.settings, self._device)
        except BaseException as error:
            self._device.close()
            if isinstance(error, DmddError):
                self._frames.lost(error)
            raise
        if isinstance(self._device, SimulatedCamera):
            self._say(f"Camera {self.name} is simulated by {self._device.name}.")
        self._frames.back()
        self._frames.start()
        self._grabber.start()

    def stop(self) -> None:
        """Release the camera; open requests are answered with None. From any thread, any number of times."""
        self._frames.stop()
        self._grabber.stop()
        self._grabber.join(_RELEASE)

    def state(self) -> SourceState:
        """The current state; from any thread."""
        return self._grabber.state(self._frames.frames, self._frames.dropped)

    def fire(self) -> None:
        """Press the hardware trigger of a simulated camera.

        Raises:
            OptionError: it is not simulated.
        """
        if not isinstance(self._device, SimulatedCamera):
            raise OptionError(f"Camera {self.name} is not simulated.", "Trigger it at its own input.")
        self._device.fire()

    def _prepare(self) -> None:
        self._frames = self._requests()
        self._frames.lost(SourceError(f"Camera {self.name} is not open yet."))
        patience, triggered = self.settings.options.stream_timeout, self.mode == "camera"
        self._grabber = Grabber(self._device, self._frames, patience, endless=True, triggered=triggered)
        self._grabber.say = self._say

    def _requests(self) -> FrameRequests:
        """What answers requests, by how the camera is triggered."""
        settings, device = self.settings, self._device
        who = (device.name, self._label)
        timeout, settle = settings.timeout_ms / 1000, settings.settle_ms / 1000
        fired = isinstance(device, SimulatedCamera) and self.mode == "newest"
        if isinstance(device, TriggerDevice) and (fired or self.mode == "software"):
            return FiredFrames(*who, timeout, device.fire, self._reopen)
        if self.mode == "free":
            return FreeFrames(*who, settle, self._thinner, self._arrived)
        if self.mode == "newest":
            return NextFrames(*who, settle)
        missed = self._missed or self._tell
        if self._arrived is not None:
            return LeadingFrames(*who, settings.queue, self._arrived, missed)
        return FollowingFrames(*who, settings.queue, settings.match_ms / 1000, timeout, missed)

    def _thinner(self) -> Thinner:
        options = self.settings.options
        # Single images are already requested at the wanted rate.
        return Thinner(options.every, None if isinstance(self._device, Paced) else options.fps)

    def _reopen(self, reason: str) -> None:
        self._grabber.reopen(reason)

    def _tell(self, time: float, code: ErrorCode) -> None:
        self._say(f"Camera {self.name}: a frame belongs to no part ({code.name.lower().replace('_', ' ')}).")


def station_cameras(
    settings: Mapping[str, CameraSettings], say: Callable[[str], None] = say_nothing
) -> dict[str, Camera]:
    """The cameras of a station, not opened yet.

    Args:
        settings: by name.
        say: called with one line when a camera is lost, and when it is back.

    Raises:
        DmddError: see ``Camera``; it names the camera.
    """
    return {name: Camera(each, say=say) for name, each in settings.items()}


def simulated(settings: CameraSettings, images: str = "drawn:plate") -> CameraSettings:
    """The settings of a camera that shows images instead, in the same mode and with the same limits.

    In the mode ``camera`` it waits for ``Camera.fire``.

    Args:
        settings: of the camera that it replaces.
        images: what it shows: a folder, a video, a glob, or an address of a simulated camera.
    """
    return replace(settings, source=images, options=SourceOptions())
