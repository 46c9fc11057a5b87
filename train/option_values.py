"""Checks of a training's options that need neither torch nor numpy."""

from __future__ import annotations

from collections.abc import Sequence

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import did_you_mean

#: The backbones that need no ``timm:`` before their name.
BACKBONES = ("efficientnet_lite0", "resnet18", "wide_resnet50_2")
_ROTATIONS, _BITS = (0, 90, 180, 270), (10, 12, 14, 16)


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


def _one_of(option: str, value: int, allowed: Sequence[int]) -> None:
    if value not in allowed:
        raise OptionError(
            f"{option} is {value}; it must be one of {', '.join(map(str, allowed))}.",
            f"Choose one of {', '.join(map(str, allowed))}.",
        )
