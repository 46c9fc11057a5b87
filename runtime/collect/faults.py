"""What may be wrong with an image, and how far it is from what the set itself shows."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np

Kind = Literal["size", "dark", "bright", "blurred", "moved", "repeated"]
#: What ``--accept`` may name: every kind but another size, which no set can mix.
KEEPABLE: tuple[str, ...] = tuple(kind for kind in get_args(Kind) if kind != "size")

#: Share of what refuses an image from which on it is kept with a mark.
MARKED_FROM = 0.7
#: Spreads of the set beyond which an image is refused; more of few images, whose spread is uncertain:
#: twice as many of eight.
_SPREADS, _FEW = 5.0, 8


@dataclass(frozen=True)
class Fault:
    """Something wrong with an image.

    Attributes:
        kind: what.
        text: in words, with the numbers; continues "The image is".
        weight: how far beyond what the set shows; from 1 on it is refused.
    """

    kind: Kind
    text: str
    weight: float

    @property
    def refuses(self) -> bool:
        """Whether it is grave enough to refuse the image."""
        return self.weight >= 1


@dataclass(frozen=True)
class Usual:
    """The range of a set's values, whatever a third of them are.

    Attributes:
        middle: median.
        spread: standard deviation, from the median of the distances to the median.
        low: smallest value.
        high: largest value.
        count: of values.
    """

    middle: float
    spread: float
    low: float
    high: float
    count: int

    @classmethod
    def of(cls, values: list[float]) -> Usual:
        """Of at least one value."""
        listed = np.asarray(values, np.float64)
        middle = float(np.median(listed))
        spread = 1.4826 * float(np.median(np.abs(listed - middle)))
        return cls(middle, spread, float(listed.min()), float(listed.max()), listed.size)

    def excess(self, value: float, least: float) -> float:
        """How far a value is from the middle, in shares of what refuses; negative below.

        Args:
            value: of an image.
            least: a distance that never refuses, however equal the set is.
        """
        spreads = _SPREADS * (1 + _FEW / self.count)
        return (value - self.middle) / max(spreads * self.spread, least)
