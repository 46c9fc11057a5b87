"""Exposure, gain and white balance of a camera, set and locked."""

from __future__ import annotations

from collections.abc import Mapping

from dmdd_edge.errors import DmddError, OptionError, SourceError
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.sources.v4l2 import Control, V4l2Device

# Numbers of linux/v4l2-controls.h; their names differ between kernels and drivers.
_AUTO_EXPOSURE, _EXPOSURE = 0x009A0901, 0x009A0902
_AUTO_GAIN, _GAIN, _ANALOGUE_GAIN = 0x00980912, 0x00980913, 0x009E0903
_AUTO_WHITE, _WHITE = 0x0098090C, 0x0098091A
_MANUAL_EXPOSURE = 1
#: The unit of the exposure control is 100 microseconds.
_UNITS_PER_MS = 10


def apply_controls(device: V4l2Device, options: SourceOptions, name: str) -> list[str]:
    """Set the controls of the options, after disabling their auto modes, and read them back.

    Args:
        device: the camera.
        options: exposure, gain, white_balance and camera_controls.
        name: of the camera, for messages.

    Returns:
        The values read back, one phrase per control.

    Raises:
        DmddError: the camera lacks the control, does not support the value, or reports another one.
    """
    controls = device.controls()
    by_id = {control.id: control for control in controls.values()}
    done = []
    if options.exposure is not None:
        control = _wanted(by_id, controls, (_EXPOSURE,), "--exposure", name)
        _turn_off(device, by_id, _AUTO_EXPOSURE, _MANUAL_EXPOSURE)
        units = round(options.exposure * _UNITS_PER_MS)
        if not control.supports(units):
            low, high = control.minimum / _UNITS_PER_MS, control.maximum / _UNITS_PER_MS
            raise OptionError(
                f"{name} does not support --exposure {options.exposure:g}.",
                f"Choose a value from {low:g} to {high:g} ms.",
            )
        done.append(f"exposure {_set(device, control, units, name) / _UNITS_PER_MS:g} ms")
    if options.gain is not None:
        control = _wanted(by_id, controls, (_GAIN, _ANALOGUE_GAIN), "--gain", name)
        _turn_off(device, by_id, _AUTO_GAIN, 0)
        done.append(f"gain {_checked(device, control, options.gain, '--gain', name)}")
    if options.white_balance is not None:
        control = _wanted(by_id, controls, (_WHITE,), "--white-balance", name)
        _turn_off(device, by_id, _AUTO_WHITE, 0)
        done.append(
            f"white balance {_checked(device, control, options.white_balance, '--white-balance', name)} K"
        )
    for wanted, value in options.camera_controls:
        named = controls.get(wanted)
        if named is None:
            raise _unknown(f"--camera-control {wanted}", controls, name)
        done.append(f"{wanted} {_checked(device, named, value, f'--camera-control {wanted}', name)}")
    return done


def _wanted(
    by_id: Mapping[int, Control],
    controls: Mapping[str, Control],
    ids: tuple[int, ...],
    option: str,
    name: str,
) -> Control:
    for number in ids:
        if number in by_id:
            return by_id[number]
    raise _unknown(option, controls, name)


def _unknown(option: str, controls: Mapping[str, Control], name: str) -> DmddError:
    offered = f"Available: {', '.join(controls)}." if controls else "It has no controls."
    return SourceError(f"{name} does not support {option}.", offered)


def _turn_off(device: V4l2Device, by_id: Mapping[int, Control], automatic: int, off: int) -> None:
    """Disable an auto mode if there is one; reading the value back shows whether that worked."""
    control = by_id.get(automatic)
    if control is not None and control.supports(off):
        device.set(control, off)


def _checked(device: V4l2Device, control: Control, value: int, option: str, name: str) -> int:
    if not control.supports(value):
        raise OptionError(
            f"{name} does not support {option} {value}.", f"Choose a value: {control.offers()}."
        )
    return _set(device, control, value, name)


def _set(device: V4l2Device, control: Control, value: int, name: str) -> int:
    """Set a control and return the value read back, which may differ by less than a step."""
    try:
        device.set(control, value)
        now = device.get(control)
    except OSError as error:
        raise OptionError(
            f"{name}: cannot set {control.name} to {value}: {error.strerror or error}.",
            "An auto mode may be overriding it; disable it with --camera-control.",
        ) from None
    if abs(now - value) >= max(control.step, 1):
        raise OptionError(
            f"{name}: {control.name} was set to {value} but is {now}.",
            "An auto mode may be overriding it; disable it with --camera-control.",
        )
    return now
