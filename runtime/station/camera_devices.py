"""The device of a station's camera, and whether its trigger suits it."""

from __future__ import annotations

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.sources.camera import Camera as V4l2Camera
from dmdd_edge.runtime.sources.devices import is_live, make_device
from dmdd_edge.runtime.sources.live_device import Device, TriggerDevice
from dmdd_edge.runtime.sources.replay import ReplayDevice
from dmdd_edge.runtime.sources.simulated import SimulatedCamera
from dmdd_edge.runtime.sources.source_kinds import check_options
from dmdd_edge.runtime.sources.urls import IMAGES_PREFIX, scheme_of
from dmdd_edge.runtime.station.late_device import LateDevice
from dmdd_edge.runtime.station.settings import CameraSettings

_WITHOUT = 'Set trigger = "newest": the first frame after the trigger.'


def camera_device(settings: CameraSettings) -> Device:
    """The device of a camera, not opened yet.

    A folder, an image, a glob or a video is a simulated camera, as with ``images:`` before it.
    A GenICam camera gets the trigger settings that the mode needs, unless its address has them. A simulated
    camera waits for triggers too, unless its images come at a rate (mode ``free``, or ``camera`` with
    ``fps``).

    Raises:
        DmddError: the trigger does not suit this kind of camera, or an option does not apply to it.
    """
    name, mode = settings.name, settings.trigger
    options = settings.options
    device: Device | None
    if scheme_of(settings.source) in ("http", "https"):
        check_options("a stream", options, settings.source)
        device = LateDevice(settings.source, lambda: _made(settings))
    else:
        device = make_device(_address(settings), options)
    assert device is not None  # files were made a simulated camera
    if isinstance(device, SimulatedCamera):
        device.armed = mode in ("software", "newest") or (mode == "camera" and not device.paced)
    if isinstance(device, V4l2Camera):
        device.patient = mode == "camera"
    kinds = (TriggerDevice, V4l2Camera, ReplayDevice) if mode == "camera" else TriggerDevice
    if mode in ("camera", "software") and not isinstance(device, kinds):
        what = "has no trigger input" if mode == "camera" else "cannot be triggered by software"
        raise OptionError(
            f'Camera {name}: {device.name} {what}, so trigger = "{mode}" does not suit it.', _WITHOUT
        )
    if mode != "free":
        for option in ("every", "fps"):
            if option in settings.options.given():
                raise OptionError(
                    f"Camera {name}: {option} would skip frames of parts.",
                    f'Leave it out; it applies to trigger = "free", not to "{mode}".',
                )
    return device


def check_armed(settings: CameraSettings, device: Device) -> None:
    """Compare how a camera is set, once it is open, with how the station file says that it is triggered.

    Raises:
        OptionError: one waits for a trigger, and the other does not.
    """
    if not isinstance(device, TriggerDevice) or isinstance(device, SimulatedCamera):
        return
    name, mode = settings.name, settings.trigger
    if mode in ("camera", "software") and not device.armed:
        raise OptionError(
            f"Camera {name}: {device.name} does not wait for triggers, but the station file says trigger = "
            f'"{mode}".',
            "Add ?TriggerMode=On to its source.",
        )
    if mode in ("free", "newest") and device.armed:
        raise OptionError(
            f'Camera {name}: {device.name} waits for triggers, but the station file says trigger = "{mode}".',
            'Add ?TriggerMode=Off to its source, or set trigger = "camera" (its own input) or "software".',
        )


def _made(settings: CameraSettings) -> Device:
    device = make_device(settings.source, settings.options)
    assert device is not None  # an address with a scheme does not name files
    return device


def _address(settings: CameraSettings) -> str:
    """The source; of a GenICam camera with the trigger settings that the mode needs."""
    source, mode = settings.source, settings.trigger
    if not is_live(source):
        return f"{IMAGES_PREFIX}{source}"
    if scheme_of(source) != "genicam" or mode not in ("camera", "software"):
        return source
    wanted = {"TriggerMode": "On"} | ({"TriggerSource": "Software"} if mode == "software" else {})
    given = source.partition("?")[2]
    missing = [f"{key}={value}" for key, value in wanted.items() if f"{key}=" not in given]
    if not missing:
        return source
    return source.rstrip("?&") + ("&" if given else "?") + "&".join(missing)
