"""The settings of a camera: put in the order that cameras need, set, and read back."""

from __future__ import annotations

from collections.abc import Sequence

from dmdd_edge.errors import OptionError
from dmdd_edge.runtime.sources.genicam.interface import GenicamCamera
from dmdd_edge.runtime.sources.genicam.values import known_feature, parsed, read_only, same, shown
from dmdd_edge.runtime.sources.options import SourceOptions

Settings = Sequence[tuple[str, str]]

# What must come before what: a stored set replaces everything; the size of a pixel and of the image limits
# offsets and rates; an automatic locks its value; a selector says which one is meant; a trigger is switched
# on when its source is known. Features that are not listed keep their place between the two parts.
_FIRST = (
    *("UserSetSelector", "UserSetLoad", "DeviceLinkThroughputLimitMode", "DeviceLinkThroughputLimit"),
    *("SensorTaps", "BinningSelector", "BinningHorizontal", "BinningVertical"),
    *("DecimationHorizontal", "DecimationVertical", "RegionSelector", "PixelFormat", "PixelSize"),
    *("Width", "Height", "OffsetX", "OffsetY", "ReverseX", "ReverseY"),
    *("AcquisitionMode", "ExposureMode", "ExposureAuto", "AcquisitionFrameRateEnable"),
    *(
        "ExposureTime",
        "ExposureTimeAbs",
        "ExposureTimeRaw",
        "AcquisitionFrameRate",
        "AcquisitionFrameRateAbs",
    ),
    *(
        "GainSelector",
        "GainAuto",
        "Gain",
        "GainRaw",
        "BalanceWhiteAuto",
        "BalanceRatioSelector",
        "BalanceRatio",
    ),
)
_LAST = (
    "TriggerSelector",
    "TriggerSource",
    "TriggerActivation",
    "TriggerDelay",
    "TriggerDelayAbs",
    "TriggerMode",
)
_SIZES = {"Width": "OffsetX", "Height": "OffsetY"}


def in_order(settings: Settings) -> list[tuple[str, str]]:
    """The settings in the order in which cameras accept them.

    A feature that is written twice, as behind a selector, means that the user chose the order; it is kept.
    """
    if len({name for name, _ in settings}) < len(settings):
        return list(settings)
    first = {name: place for place, name in enumerate(_FIRST)}
    last = {name: place for place, name in enumerate(_LAST)}

    def place(setting: tuple[str, str]) -> tuple[int, int]:
        name = setting[0]
        if name in first:
            return 0, first[name]
        return (2, last[name]) if name in last else (1, 0)

    return sorted(settings, key=place)


def completed(camera: GenicamCamera, settings: Settings, options: SourceOptions) -> list[tuple[str, str]]:
    """The user's settings, those of the options, and what a stream and a trigger need.

    Raises:
        OptionError: an option and a feature say the same thing, or the camera has no feature for an option.
    """
    written = dict(settings)
    added: list[tuple[str, str]] = []

    def entries(name: str) -> tuple[str, ...]:
        feature = camera.feature(name)
        return () if feature is None or not feature.available else feature.entries

    def option(name: str, value: str, features: tuple[str, ...]) -> None:
        for feature in features:
            if feature in written:
                raise OptionError(
                    f"{options.spelling(name)} and {feature}={written[feature]} set the same.",
                    "Leave one of them out.",
                )
        for feature in features:
            found = camera.feature(feature)
            if found is not None and found.available:
                if found.kind == "integer":
                    value = str(round(float(value)))
                added.append((feature, value))
                return
        raise OptionError(
            f"The camera does not support {options.spelling(name)}; it lacks {' and '.join(features)}.",
            "Leave it out.",
        )

    def automatic_off(*names: str) -> None:
        for name in names:
            if name not in written and "Off" in entries(name):
                added.append((name, "Off"))

    if options.camera_size is not None:
        option("camera_size", str(options.camera_size[0]), ("Width",))
        option("camera_size", str(options.camera_size[1]), ("Height",))
    if options.exposure is not None:
        automatic_off("ExposureAuto")
        option("exposure", repr(1000 * options.exposure), ("ExposureTime", "ExposureTimeAbs"))
    if options.gain is not None:
        automatic_off("GainAuto")
        option("gain", str(options.gain), ("Gain", "GainRaw"))
    if options.camera_fps is not None:
        enable = camera.feature("AcquisitionFrameRateEnable")
        if "AcquisitionFrameRateEnable" not in written and enable is not None and enable.available:
            added.append(("AcquisitionFrameRateEnable", "true"))
        rates = ("AcquisitionFrameRate", "AcquisitionFrameRateAbs")
        option("camera_fps", repr(options.camera_fps), rates)
    if "AcquisitionMode" not in written and "Continuous" in entries("AcquisitionMode"):
        added.append(("AcquisitionMode", "Continuous"))
    triggered = written.get("TriggerMode") == "On" and "TriggerSelector" not in written
    if triggered and "FrameStart" in entries("TriggerSelector"):
        # A program that ran before may have selected another trigger.
        added.append(("TriggerSelector", "FrameStart"))
    if len(written) < len(settings):  # the user's own order; what is added comes before it
        return in_order(added) + list(settings)
    return in_order([*added, *settings])


def release(camera: GenicamCamera) -> None:
    """End an acquisition that a program left running when it crashed: it locks size and format."""
    locked = camera.feature("TLParamsLocked")
    if locked is not None and locked.available and locked.value:
        camera.execute("AcquisitionStop")
        if locked.writable:
            camera.set(locked, 0)


def apply_settings(camera: GenicamCamera, settings: Settings, device: str) -> list[str]:
    """Set features in this order, and read back what the camera took.

    Args:
        camera: an open camera that sends no frames yet.
        settings: names and values.
        device: the camera's name, for messages.

    Returns:
        One phrase per feature, such as ``ExposureTime 1998.5 (requested: 2000)``.

    Raises:
        DmddError: the camera has no such feature, or does not accept the value.
    """
    names = [name for name, _ in settings]
    phrases: list[str] = []
    wanted = []
    for name, text in settings:
        feature = known_feature(camera, name, device)
        if feature.kind == "command":
            camera.execute(name)
            phrases.append(f"{name} executed")
            continue
        offset = _free_offset(camera, name)
        feature = known_feature(camera, name, device) if offset is not None else feature
        value = parsed(feature, text, device)
        if not feature.writable:
            # Locked, but with the wanted value: nothing to do.
            if not same(feature, value):
                raise read_only(feature, camera, device)
        else:
            camera.set(feature, value)
        if offset is not None and _SIZES[name] not in names:
            _restore(camera, _SIZES[name], offset)
        if names.count(name) > 1:
            phrases.append(_phrase(camera, name, value))
        else:
            wanted.append((name, value))
    # A later setting may change an earlier one, such as the exposure's limit by the rate.
    return phrases + [_phrase(camera, name, value) for name, value in wanted]


def _phrase(camera: GenicamCamera, name: str, value: int | float | bool | str) -> str:
    now = camera.feature(name)
    if now is None or now.value is None:
        return f"{name} {shown(value)} (cannot be read back)"
    requested = "" if same(now, value) else f" (requested: {shown(value)})"
    return f"{name} {shown(now.value)}{f' {now.unit}' if now.unit else ''}{requested}"


def _free_offset(camera: GenicamCamera, name: str) -> int | None:
    """Move the image to the sensor's corner before it grows; returns where it was, if it was elsewhere."""
    offset = camera.feature(_SIZES[name]) if name in _SIZES else None
    if offset is None or not offset.writable or not isinstance(offset.value, int):
        return None
    corner = int(offset.minimum or 0)
    if offset.value == corner:
        return None
    camera.set(offset, corner)
    return offset.value


def _restore(camera: GenicamCamera, name: str, value: int) -> None:
    """Move the image back as far as its new size allows."""
    offset = camera.feature(name)
    if offset is not None and offset.writable:
        limit = value if offset.maximum is None else min(value, int(offset.maximum))
        camera.set(offset, limit)
