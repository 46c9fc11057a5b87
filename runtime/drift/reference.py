"""What a measure was before: a bounded random sample of its batches, and the rank of a new one among them."""

from __future__ import annotations

import random
from bisect import bisect_left, bisect_right, insort
from statistics import NormalDist, fmean

_NORMAL = NormalDist()
#: Number of batches that are kept.
KEPT = 1000
#: A rank is never so extreme that its normal score is infinite.
_LEAST = 1e-9


class Reference:
    """A sample of all earlier values, each with the same chance to be in it.

    The rank of a new value among all earlier ones, itself included, ties broken by lot, is a conformal
    p-value. While values are exchangeable, these are independent of each other and uniform on 0..1,
    whatever the values' distribution is and however few there are. That is exact up to ``KEPT`` values; from
    then on a random sample of this size stands for all.

    Args:
        name: chooses the random numbers.

    Attributes:
        count: number of values that were learned.
        values: the sample, ascending.
    """

    def __init__(self, name: str) -> None:
        self._name = name
        self.count = 0
        self.values: list[float] = []
        self._offered = 0

    def score(self, value: float) -> float:
        """The normal score of a value's rank among the sample: standard normal while nothing changes."""
        self._offered += 1
        lot = random.Random(f"{self._name} rank {self._offered}").random()
        below, up_to = bisect_left(self.values, value), bisect_right(self.values, value)
        rank = (below + lot * (up_to - below + 1)) / (len(self.values) + 1)
        return _NORMAL.inv_cdf(min(max(rank, _LEAST), 1 - _LEAST))

    def learn(self, value: float) -> None:
        """Add a value (reservoir sampling)."""
        self.count += 1
        if len(self.values) < KEPT:
            insort(self.values, value)
            return
        place = random.Random(f"{self._name} place {self.count}").randrange(self.count)
        if place < KEPT:
            del self.values[place]
            insort(self.values, value)

    @property
    def middle(self) -> float:
        """The sample's median."""
        half = len(self.values) // 2
        return fmean(self.values[half - 1 : half + 1]) if len(self.values) % 2 == 0 else self.values[half]

    def restore(self, count: int, offered: int, values: list[float]) -> None:
        """Continue from what was kept."""
        self.count, self._offered, self.values = count, offered, sorted(values)[:KEPT]

    @property
    def offered(self) -> int:
        """Number of values that were ranked."""
        return self._offered
