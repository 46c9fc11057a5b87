"""How some frames differ in look from the training images: the likely causes of many anomalous frames."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from dmdd_edge.data.jpeg_traces import step_table
from dmdd_edge.data.look import ImageLook, Look, Range, quality_of
from dmdd_edge.data.preprocess import Preprocess

#: What each measure may differ from the training images' range before it counts as a cause: twice that is
#: twice as likely. Larger than what parts of one category, other seeds of a drawing or a defect bring.
_BLOCKS = 0.1
_STEPS = math.log(1.4)
_LIGHT = 8.0
_TINT = 5.0
_SHARPNESS = math.log(1.4)
_SIZE = math.log(1.25)
_ASPECT = math.log(1.03)
#: Mean difference of channels from which images are colored, and up to which they are gray.
_COLORED, _GRAY = 3.0, 0.5
#: A difference of kind, not of degree, such as gray for color, weighs this much.
_KIND = 6.0


@dataclass(frozen=True)
class Cause:
    """A difference from the training images.

    Attributes:
        name: compression, light, sharpness, size, aspect, ``grey`` or ``colour``.
        text: what differs, with the numbers; continues "the frames are".
        fix: what to do about it, in the imperative.
        weight: how far beyond what is allowed; 1 at the limit.
    """

    name: str
    text: str
    fix: str
    weight: float


def find_causes(look: Look, seen: Sequence[ImageLook], preprocess: Preprocess) -> list[Cause]:
    """What tells frames from the training images, the most likely cause first.

    Args:
        look: of the training images.
        seen: of the frames, at least one.
        preprocess: of the bundle.

    Returns:
        an empty list when they look the same.
    """
    found = [
        *_size(look, seen, preprocess),
        *_color(look, seen),
        *_compression(look, seen),
        *_light(look, seen),
    ]
    if not {cause.name for cause in found} & {"size", "aspect", "compression"}:
        found += _sharpness(look, seen)  # which each of those changes too
    return sorted(found, key=lambda cause: -cause.weight)


def _middle(seen: Sequence[ImageLook], name: str) -> float:
    return float(np.median([getattr(image, name) for image in seen]))


def _size(look: Look, seen: Sequence[ImageLook], preprocess: Preprocess) -> list[Cause]:
    width, height = (round(float(np.median([image.size[axis] for image in seen]))) for axis in (0, 1))
    known = " or ".join(f"{w} x {h}" for w, h in look.sizes[:3])
    sizes = f"{width} x {height} pixels, in training {known}"
    if preprocess.roi is not None:
        if (width, height) in look.sizes:
            return []
        text = f"of another size ({sizes}), so the region of interest cuts out another part of them"
        return [Cause("size", text, "Set the camera to the size of the training images.", _KIND)]
    turned = min(abs(math.log(width / height * h / w)) for w, h in look.sizes)
    if turned > _ASPECT:
        text = f"of another shape ({sizes}), so the part is stretched"
        fix = (
            "Set the camera to the aspect ratio of the training images, or cut it out with --roi at training."
        )
        return [Cause("aspect", text, fix, max(_KIND, turned / _ASPECT))]
    scaled = min((math.log(width / w) for w, _ in look.sizes), key=abs)
    if abs(scaled) <= _SIZE:
        return []
    text = f"{'larger' if scaled > 0 else 'smaller'} ({sizes}), which changes their fine detail"
    return [Cause("size", text, "Set the camera to the size of the training images.", abs(scaled) / _SIZE)]


def _color(look: Look, seen: Sequence[ImageLook]) -> list[Cause]:
    color = _middle(seen, "colour")
    if color <= _GRAY and look.colour.low >= _COLORED:
        text = "gray, the training images are in color"
        return [Cause("grey", text, "Set the camera to color, or train with gray images.", _KIND)]
    if color >= _COLORED and look.colour.high <= _GRAY:
        text = "in color, the training images are gray"
        return [Cause("grey", text, "Set the camera to monochrome, or train with color images.", _KIND)]
    shifts = {name: _excess(getattr(look, name), seen, name) for name in ("red", "blue")}
    strongest = max(shifts, key=lambda name: abs(shifts[name]))
    if abs(shifts[strongest]) <= _TINT:
        return []
    more = "more" if shifts[strongest] > 0 else "less"
    value, usual = _middle(seen, strongest), getattr(look, strongest)
    text = (
        f"of another tint ({more} {strongest}: {value:+.0f} % against green, in training "
        f"{usual.low:+.0f} to {usual.high:+.0f} %)"
    )
    fix = "Lock the camera's white balance (--white-balance) as it was for the training images."
    return [Cause("colour", text, fix, abs(shifts[strongest]) / _TINT)]


def _excess(usual: Range, seen: Sequence[ImageLook], name: str) -> float:
    return usual.excess(_middle(seen, name))


def _compression(look: Look, seen: Sequence[ImageLook]) -> list[Cause]:
    excess = _excess(look.blocks, seen, "blocks")
    quality, usual = quality_of(list(seen)), look.jpeg_quality
    if quality is not None and usual is not None:
        coarser = math.log(_step(quality) / _step(usual))
        if abs(coarser) <= _STEPS:
            return []
        weight = abs(coarser) / _STEPS
    elif abs(excess) > _BLOCKS:
        weight = abs(excess) / _BLOCKS
    else:
        return []
    actual, expected = _described(quality, excess > 0), _described(usual, excess < 0)
    text = f"compressed differently ({actual}, in training {expected})"
    fix = "Train with images of this camera at this compression, or deliver the frames as in training."
    return [Cause("compression", text, fix, weight)]


def _step(quality: int) -> float:
    """How coarsely a quality rounds, on average."""
    return float(step_table(quality).mean())


def _described(quality: int | None, compressed: bool) -> str:
    if quality is not None:
        return f"JPEG of quality {quality}"
    return "JPEG of unknown quality" if compressed else "no JPEG"


def _light(look: Look, seen: Sequence[ImageLook]) -> list[Cause]:
    excess = _excess(look.light, seen, "light")
    if abs(excess) <= _LIGHT:
        return []
    level, usual = _middle(seen, "light"), f"{look.light.low:.0f} to {look.light.high:.0f}"
    word = "brighter" if excess > 0 else "darker"
    text = f"{word} (mean level {level:.0f} of 255, in training {usual})"
    fix = "Set the light and lock the exposure (--exposure, --gain) as they were for the training images."
    return [Cause("light", text, fix, abs(excess) / _LIGHT)]


def _sharpness(look: Look, seen: Sequence[ImageLook]) -> list[Cause]:
    value = max(_middle(seen, "sharpness"), 1e-6)
    low, high = (max(level, 1e-6) for level in (look.sharpness.low, look.sharpness.high))
    beyond = math.log(value / high) if value > high else math.log(value / low) if value < low else 0.0
    if abs(beyond) <= _SHARPNESS:
        return []
    times = f"{_ratio(value / look.sharpness.middle)} times the fine detail of the training images"
    if beyond < 0:
        text, fix = f"blurred ({times})", "Check the focus, the lens and the exposure time for motion."
    else:
        text, fix = f"sharper or noisier ({times})", "Check the focus, the gain and the camera's sharpening."
    return [Cause("sharpness", text, fix, abs(beyond) / _SHARPNESS)]


def _ratio(value: float) -> str:
    return f"{value:.1f}" if value >= 1 else f"{value:.2g}"
