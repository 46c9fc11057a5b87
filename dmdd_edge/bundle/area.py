"""Areas as a user gives them: in pixels of the source image, or in square millimeters."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

from dmdd_edge.errors import OptionError

_FORM = re.compile(
    r"\s*((?:\d+(?:\.\d*)?|\.\d+)(?:e[+-]?\d+)?)\s*(px|mm2|mm\^2|mm²)?\s*", re.IGNORECASE | re.ASCII
)
_ALLOWED = "Give an area in pixels of the source image or in square millimeters: 120px, 2.5mm2."


@dataclass(frozen=True)
class Area:
    """An area as a user gives it.

    Attributes:
        value: at least 0.
        unit: ``px`` for pixels of the source image, ``mm2`` for square millimeters.
    """

    value: float
    unit: Literal["px", "mm2"] = "px"

    def __str__(self) -> str:
        number = int(self.value) if self.value == int(self.value) else self.value
        return f"{number}{self.unit}"


def parse_area(text: str | float, option: str = "--min-area") -> Area:
    """An area such as ``120``, ``120px`` or ``2.5mm2``; a number alone is in pixels of the source image.

    Raises:
        OptionError: it is not an area.
    """
    if isinstance(text, (int, float)) and not isinstance(text, bool):
        text = repr(text)
    found = _FORM.fullmatch(text) if isinstance(text, str) else None
    if found is None or not math.isfinite(float(found[1])):
        raise OptionError(f"{option} {text!r} is not an area.", _ALLOWED)
    unit = (found[2] or "px").lower()
    return Area(float(found[1]), "px" if unit.startswith("p") else "mm2")
