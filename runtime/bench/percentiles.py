"""Percentiles that say nothing where there were too few values to tell."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

#: The percentiles of a latency, by name.
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

#: How sure a percentile's bound is, as in MLPerf's rules of early stopping.
CONFIDENCE = 0.99


@dataclass(frozen=True)
class Spread:
    """How some values are spread.

    Attributes:
        count: how many there are.
        mean, low, high: average, smallest and largest.
        percentiles: by the names of ``SHARES``, each a value that was really seen; None where there were
            fewer values than ``fewest`` says.
        bounds: what each percentile does not exceed, at 99 % confidence; None as above.
    """

    count: int
    mean: float
    low: float
    high: float
    percentiles: dict[str, float | None]
    bounds: dict[str, float | None]

    @property
    def median(self) -> float | None:
        """The median; None where there were too few values."""
        return self.percentiles["p50"]

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Spread:
        """Work out the spread of at least one value."""
        ordered = np.sort(np.asarray(values, np.float64))
        count = len(ordered)
        percentiles: dict[str, float | None] = dict.fromkeys(SHARES)
        bounds: dict[str, float | None] = dict.fromkeys(SHARES)
        for name, share in SHARES.items():
            if count >= fewest(share):
                # The nearest rank. A hair less than the product: 0.9 * 70 is 63.000000000000007.
                percentiles[name] = float(ordered[max(math.ceil(share * count - 1e-9), 1) - 1])
                bounds[name] = float(ordered[count - above(count, share)])
        return cls(count, float(ordered.mean()), float(ordered[0]), float(ordered[-1]), percentiles, bounds)

    def as_dict(self) -> dict[str, float | int | None]:
        """The fields as they stand in a result; bounds are left out."""
        rounded = {name: None if v is None else round(v, 4) for name, v in self.percentiles.items()}
        return {
            **rounded,
            "mean": round(self.mean, 4),
            "min": round(self.low, 4),
            "max": round(self.high, 4),
            "count": self.count,
        }


@cache
def fewest(share: float) -> int:
    """How many values a percentile takes: 64 for 0.9, 662 for 0.99, 6636 for 0.999.

    MLPerf's rule with one value allowed above: so many that, were the true percentile higher than all but one
    of them, that would happen in at most 1 of 100 runs.

    Args:
        share: of the values that lie below the percentile, 0..1.
    """
    count = 2
    while above(count, share) < 1:
        count += 1
    return count


def above(count: int, share: float) -> int:
    """Which of the largest values bounds a percentile from above: 1 for the largest, 2 for the second, ...

    With t of n values above it, a value is below the true percentile with the probability that a binomial
    variable (n, 1 - share) is t or less; t is the largest for which that is at most 1 %.

    Args:
        count: n.
        share: as in ``fewest``.

    Returns:
        t; 0 when even the largest value says too little.
    """
    rare = 1 - share
    terms = np.arange(1, int(count * rare) + 2)
    # log of the binomial's probabilities at 0, 1, 2, ...
    steps = np.log((count - terms + 1) / terms * (rare / share))
    logs = count * math.log(share) + np.concatenate([[0.0], np.cumsum(steps)])
    reached = np.cumsum(np.exp(logs)) <= 1 - CONFIDENCE
    return int(reached.sum()) - 1 if reached[0] else 0
