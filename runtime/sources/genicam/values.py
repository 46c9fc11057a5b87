"""A value that a user wrote, read as its feature demands, and checked against what the camera allows."""

from __future__ import annotations

import math

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.suggest import choose, did_you_mean
from dmdd_edge.runtime.sources.genicam.interface import Feature, GenicamCamera

Value = int | float | bool | str
_TRUE, _FALSE = ("true", "1", "on", "yes"), ("false", "0", "off", "no")


def known_feature(camera: GenicamCamera, name: str, device: str) -> Feature:
    """A feature by its name.

    Args:
        camera: which has it or not.
        name: as the user wrote it.
        device: the camera's name, for messages.

    Raises:
        OptionError: it has no such feature, or it has no meaning with the present settings.
    """
    feature = camera.feature(name)
    if feature is None:
        near = did_you_mean(name, camera.names())
        more = "Names are those of the camera (SFNC), capitals included; arv-tool-0.8 features lists them."
        raise OptionError(f"{device} has no feature {name}.", f"{near} {more}".lstrip())
    if not feature.available:
        raise OptionError(
            f"{device}: {name} is not available with the present settings.",
            "Another feature of the camera enables it; see its manual.",
        )
    return feature


def parsed(feature: Feature, text: str, device: str) -> Value:
    """Read a value.

    Raises:
        OptionError: it is not a value of this kind, or the camera does not allow it now.
    """
    value: Value
    if feature.kind == "boolean":
        if text.lower() not in (*_TRUE, *_FALSE):
            raise _not(feature, text, device, "Write true or false.")
        return text.lower() in _TRUE
    if feature.kind == "enumeration":
        if text not in feature.entries:
            raise _not(feature, text, device, choose(text, feature.entries))
        return text
    if feature.kind in ("integer", "float"):
        try:
            value = int(text, 0) if feature.kind == "integer" else float(text)
        except ValueError:
            what = "a whole number" if feature.kind == "integer" else "a number"
            raise _not(feature, text, device, f"Write {what}{_range(feature)}.") from None
        _check_number(feature, value, text, device)
        return value
    if feature.kind == "string":
        return text
    raise OptionError(f"{device}: {feature.name} has no value that can be set.", "Leave it out.")


def same(feature: Feature, wanted: Value) -> bool:
    """Whether the camera took a value; floats as exactly as single precision holds them."""
    value = feature.value
    if isinstance(wanted, float) and isinstance(value, (int, float)):
        return math.isclose(value, wanted, rel_tol=1e-6, abs_tol=1e-9)
    return value == wanted


def shown(value: Value | None) -> str:
    """A value for a person."""
    if isinstance(value, bool):
        return "true" if value else "false"
    return f"{value:g}" if isinstance(value, float) and abs(value) < 1e6 else str(value)


def read_only(feature: Feature, camera: GenicamCamera, device: str) -> DmddError:
    """The error for a feature that cannot be written now, naming the automatic that may hold it."""
    stem = feature.name.removesuffix("Abs").removesuffix("Raw").removesuffix("Time")
    automatic = camera.feature(f"{stem}Auto")
    if automatic is not None and automatic.value not in (None, "Off"):
        return OptionError(
            f"{device}: {feature.name} cannot be set while {automatic.name} is {automatic.value}.",
            f"Write {automatic.name}=Off before it.",
        )
    return OptionError(
        f"{device}: {feature.name} is read-only now; its value is {shown(feature.value)}.",
        "Leave it out, or set the feature that locks it; see the camera's manual.",
    )


def _check_number(feature: Feature, value: float, text: str, device: str) -> None:
    low, high, step = feature.minimum, feature.maximum, feature.increment
    outside = (low is not None and value < low) or (high is not None and value > high)
    if outside or not math.isfinite(value):
        raise _not(feature, text, device, f"Choose a value{_range(feature)}.")
    if feature.kind == "integer" and step is not None and step > 1:
        start = int(low or 0)
        below = start + (int(value) - start) // int(step) * int(step)
        if below != value:
            above = below + int(step)
            near = str(below) if high is not None and above > high else f"{below} or {above}"
            raise _not(feature, text, device, f"It goes in steps of {int(step)}; choose {near}.")


def _range(feature: Feature) -> str:
    if feature.minimum is None or feature.maximum is None:
        return ""
    unit = f" {feature.unit}" if feature.unit else ""
    return f" from {feature.minimum:.10g} to {feature.maximum:.10g}{unit}"


def _not(feature: Feature, text: str, device: str, fix: str) -> DmddError:
    return OptionError(f"{device} does not accept {feature.name}={text}.", fix)
