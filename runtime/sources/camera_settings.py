"""The settings of a camera as it reports them: for the record of an image, and what it changes by itself."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from dmdd_edge.errors import SourceError
from dmdd_edge.runtime.sources.v4l2 import Control, V4l2Device

if TYPE_CHECKING:
    from dmdd_edge.runtime.sources.genicam.interface import GenicamCamera

Value = int | float | bool | str

#: What a person calls each automatic, with the V4L2 control that switches it, the values that mean that it is
#: off, and the control and the option that set it by hand.
_V4L2 = (
    ("exposure", 0x009A0901, (1,), (0x009A0902,), "--exposure", 10.0),
    ("gain", 0x00980912, (0,), (0x00980913, 0x009E0903), "--gain", 1.0),
    ("white balance", 0x0098090C, (0,), (0x0098091A,), "--white-balance", 1.0),
)
#: The same of GenICam's standard features, which have one spelling; exposure is in microseconds.
_GENICAM = (
    ("exposure", "ExposureAuto", ("ExposureTime", "ExposureTimeAbs"), "--exposure", 1000.0),
    ("gain", "GainAuto", ("Gain", "GainRaw"), "--gain", 1.0),
    ("white balance", "BalanceWhiteAuto", (), "", 1.0),
)
#: Features that are kept beside those.
_FEATURES = (
    *("DeviceVendorName", "DeviceModelName", "DeviceSerialNumber", "DeviceUserID", "PixelFormat", "Width"),
    *("Height", "OffsetX", "OffsetY", "BinningHorizontal", "BinningVertical", "ReverseX", "ReverseY"),
    *("AcquisitionFrameRate", "ExposureMode", "BlackLevel", "Gamma", "BalanceRatio", "TriggerMode"),
    *("TriggerSource", "DeviceTemperature"),
)


@dataclass(frozen=True)
class CameraSettings:
    """The settings of a camera at one moment.

    Attributes:
        values: by name, as the camera spells them.
        automatic: what the camera changes by itself: exposure, gain, white balance.
        locks: options that lock these at what they are now.
    """

    values: dict[str, Value] = field(default_factory=dict)
    automatic: tuple[str, ...] = ()
    locks: str = ""


@runtime_checkable
class Adjustable(Protocol):
    """A device whose settings can be read."""

    def settings(self) -> CameraSettings | None:
        """The settings now; None where they cannot be read."""
        ...


def v4l2_settings(path: str) -> CameraSettings | None:
    """The controls of a V4L2 camera, which may be in use."""
    try:
        with V4l2Device(path) as device:
            controls = device.controls()
            values: dict[str, Value] = {}
            for name, control in controls.items():
                with suppress(OSError):  # a button, or a control that an automatic locks
                    values[name] = device.get(control)
    except OSError:
        return None
    by_id = {control.id: control for control in controls.values()}
    automatic, locks = [], []
    for what, switch, off, manual, option, unit in _V4L2:
        named = by_id.get(switch)
        if named is None or values.get(named.name) in (None, *off):
            continue
        automatic.append(what)
        locks.append(_lock(named, off[0], [by_id[n] for n in manual if n in by_id], values, option, unit))
    return CameraSettings(values, tuple(automatic), " ".join(locks))


def _lock(
    control: Control, off: int, manual: list[Control], values: dict[str, Value], option: str, unit: float
) -> str:
    """The option that locks what an automatic sets."""
    value = values.get(manual[0].name) if manual else None
    if isinstance(value, int) and value > 0:
        return f"{option} {value / unit:g}"
    return f"--camera-control {control.name}={off}"


def genicam_settings(camera: GenicamCamera) -> CameraSettings | None:
    """The standard features of a GenICam camera."""
    values: dict[str, Value] = {}
    automatic, locks = [], []
    try:
        for what, switch, manual, option, unit in _GENICAM:
            for name in (switch, *manual):
                _read(camera, name, values)
            if str(values.get(switch, "Off")) == "Off":
                continue
            automatic.append(what)
            value = next((values[name] for name in manual if name in values), None)
            if isinstance(value, (int, float)):
                # --gain takes whole numbers: another gain is a feature of the address.
                whole = option == "--exposure" or float(value).is_integer()
                locks.append(f"{option} {value / unit:g}" if whole else f"{switch}=Off in the address")
            else:
                locks.append(f"{switch}=Off in the address")
        for name in _FEATURES:
            _read(camera, name, values)
    except SourceError:  # the camera does not answer
        return None
    return CameraSettings(values, tuple(automatic), " ".join(locks))


def _read(camera: GenicamCamera, name: str, values: dict[str, Value]) -> None:
    feature = camera.feature(name)
    if feature is not None and feature.available and feature.value is not None:
        values[name] = feature.value
