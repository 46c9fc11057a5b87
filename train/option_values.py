"""Checks of a training's options that need neither torch nor numpy."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import did_you_mean

#: The backbones that need no ``timm:`` before their name.
BACKBONES = ("efficientnet_lite0", "efficientnet_lite1", "efficientnet_lite2", "resnet18", "wide_resnet50_2")
_ROTATIONS, _BITS = (0, 90, 180, 270), (10, 12, 14, 16)
#: The coarsest features of the backbones have a side of 1/32 of the input's.
_INPUT_STEP = 32
#: The value of --tile that leaves the side to ``tile_choice``.
AUTO = "auto"
#: Smallest and largest side of a tile in pixels of the source image.
_LEAST_TILE, _MOST_TILE = 32, 8192
_EXTENT = re.compile(r"\s*(\d+(?:\.\d*)?|\.\d+)\s*(px|mm)?\s*", re.IGNORECASE | re.ASCII)


def check_backbone(name: str) -> None:
    """Check that a backbone has a known name.

    Raises:
        OptionError: it does not.
    """
    if name not in BACKBONES and not name.startswith("timm:"):
        raise OptionError(
            f"--backbone {name!r} is unknown.",
            f"{did_you_mean(name, BACKBONES)} Choose {', '.join(BACKBONES)} or timm:NAME.".lstrip(),
        )


def check_rotation(degrees: int) -> None:
    """Check that images can be rotated by an angle."""
    _one_of("--rotate", degrees, _ROTATIONS)


def check_bits(bits: int) -> None:
    """Check that a camera may use a number of bits."""
    _one_of("--bits", bits, _BITS)


def check_image_size(side: int) -> None:
    """Check that the network can take an input of a side, which is within its range."""
    if side % _INPUT_STEP:
        below = side - side % _INPUT_STEP
        raise OptionError(
            f"--image-size is {side}; it must be a multiple of {_INPUT_STEP}.",
            f"Give {below} or {below + _INPUT_STEP}.",
        )


def check_tile(text: str) -> None:
    """Check that a text is the side of a tile: ``auto``, or a whole number of pixels.

    Raises:
        OptionError: it is not.
    """
    if text == AUTO:
        return
    if not (text.isascii() and text.isdigit() and _LEAST_TILE <= int(text[:9]) <= _MOST_TILE):
        raise OptionError(
            f"--tile {text!r} is not the side of a tile.",
            f"Give {AUTO}, or a whole number of pixels of the source image from {_LEAST_TILE} to "
            f"{_MOST_TILE}.",
        )


def parse_extent(text: str) -> tuple[float, str]:
    """The extent of a defect, such as ``12px`` or ``0.5mm``; a number alone is in pixels of the source image.

    Returns:
        the number, above 0, and its unit, ``px`` or ``mm``.

    Raises:
        OptionError: it is not an extent.
    """
    found = _EXTENT.fullmatch(text)
    if found is None or not (0 < float(found[1]) < math.inf):
        raise OptionError(
            f"--smallest-defect {text!r} is not an extent.",
            "Give it in pixels of the source image or in millimeters: 12px, 0.5mm.",
        )
    return float(found[1]), (found[2] or "px").lower()


def _one_of(option: str, value: int, allowed: Sequence[int]) -> None:
    if value not in allowed:
        raise OptionError(
            f"{option} is {value}; it must be one of {', '.join(map(str, allowed))}.",
            f"Choose one of {', '.join(map(str, allowed))}.",
        )
