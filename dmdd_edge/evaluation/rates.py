"""What a count of images says: the interval of a rate, and whether two detectors differ."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

#: The confidence of an interval, and the probability below which a difference is more than chance.
CONFIDENCE, CHANCE = 0.95, 0.05
_HALVINGS = 60


@dataclass(frozen=True)
class Rate:
    """A share of images, with the interval of the true shares that explain it (Clopper-Pearson, 95 %).

    Attributes:
        count: images that count.
        images: all images, at least 1.
    """

    count: int
    images: int

    @property
    def interval(self) -> tuple[float, float]:
        """The smallest and the largest true share that explain the count, 0..1."""
        tail = (1 - CONFIDENCE) / 2
        k, n = self.count, self.images
        low = 0.0 if k == 0 else _root(lambda share: 1 - _at_most(k - 1, n, share) - tail)
        high = 1.0 if k == n else _root(lambda share: tail - _at_most(k, n, share))
        return low, high

    def describe(self) -> str:
        """``3 of 40 (95 % interval: 1.6 to 20.4 %)``."""
        low, high = self.interval
        return f"{self.count} of {self.images} (95 % interval: {100 * low:.1f} to {100 * high:.1f} %)"


def sign_test(first: int, second: int) -> float:
    """The exact McNemar test: the probability, 0..1, of a difference at least as uneven if both are equal.

    Args:
        first: images that the first alone decides in this way.
        second: images that the second alone does.
    """
    return min(1.0, 2 * _at_most(min(first, second), first + second, 0.5))


def _at_most(k: int, n: int, share: float) -> float:
    """The probability of at most k of n, each with the probability ``share``."""
    if share <= 0:
        return 1.0
    if share >= 1:
        return 1.0 if k >= n else 0.0
    yes, no = math.log(share), math.log1p(-share)
    ways = math.lgamma(n + 1)
    return math.fsum(
        math.exp(ways - math.lgamma(i + 1) - math.lgamma(n - i + 1) + i * yes + (n - i) * no)
        for i in range(k + 1)
    )


def _root(rising: Callable[[float], float]) -> float:
    """Where a function that rises over 0..1 crosses 0."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if rising(middle) > 0 else (middle, high)
    return (low + high) / 2
