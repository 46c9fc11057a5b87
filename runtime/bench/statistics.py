"""Percentiles with enough samples behind them, and the ratio of two series with its confidence interval."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import OptionError

#: The percentiles of a latency, by name.
SHARES = {"p50": 0.5, "p90": 0.9, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}

#: Confidence of a percentile's bound, as in MLPerf's rules of early stopping.
BOUND_CONFIDENCE = 0.99

#: Confidence of a ratio's interval, and the quantile of the normal distribution that belongs to it.
CONFIDENCE, _NORMAL = 0.95, 1.959964

#: Fewest queries per operand, and fewest rounds, that a ratio is computed from.
FEWEST_QUERIES, FEWEST_ROUNDS = 8, 3

#: Share of the rounds that is left out at either end.
_TRIMMED = 0.2

#: Most blocks that a series is cut into, and how many times blocks are drawn.
_BLOCKS, _DRAWS = 50, 1000

#: Most values that are processed at once, which bounds the memory.
_AT_ONCE = 2_000_000

#: Milliseconds of A and of B, in a round.
Round = tuple[NDArray[np.float64], NDArray[np.float64]]


@dataclass(frozen=True)
class Spread:
    """The distribution of some values.

    Attributes:
        count: number of values.
        mean, low, high: average, smallest and largest.
        percentiles: by the names of ``SHARES``, each one of the values; None where there are fewer values
            than ``fewest`` requires.
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
        """The median; None where there are too few values."""
        return self.percentiles["p50"]

    @classmethod
    def of(cls, values: Sequence[float] | NDArray[np.float64]) -> Spread:
        """Compute the distribution of at least one value."""
        ordered = np.sort(np.asarray(values, np.float64))
        count = len(ordered)
        percentiles: dict[str, float | None] = dict.fromkeys(SHARES)
        bounds: dict[str, float | None] = dict.fromkeys(SHARES)
        for name, share in SHARES.items():
            if count >= fewest(share):
                # The nearest rank. An epsilon below the product: 0.9 * 70 is 63.000000000000007.
                percentiles[name] = float(ordered[max(math.ceil(share * count - 1e-9), 1) - 1])
                bounds[name] = float(ordered[count - above(count, share)])
        return cls(count, float(ordered.mean()), float(ordered[0]), float(ordered[-1]), percentiles, bounds)

    def as_dict(self) -> dict[str, float | int | None]:
        """The fields as they are printed in a result; bounds are left out."""
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
    """Fewest values that support a percentile: 64 for 0.9, 662 for 0.99, 6636 for 0.999.

    MLPerf's rule with one value allowed above: if the true percentile were higher than all but one of that
    many values, such a series would occur in at most 1 of 100 runs.

    Args:
        share: share of the values below the percentile, 0..1.
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
        t; 0 when even the largest value is not enough.
    """
    rare = 1 - share
    terms = np.arange(1, int(count * rare) + 2)
    # log of the binomial's probabilities at 0, 1, 2, ...
    steps = np.log((count - terms + 1) / terms * (rare / share))
    logs = count * math.log(share) + np.concatenate([[0.0], np.cumsum(steps)])
    reached = np.cumsum(np.exp(logs)) <= 1 - BOUND_CONFIDENCE
    return int(reached.sum()) - 1 if reached[0] else 0


@dataclass(frozen=True)
class Ratio:
    """Median of B divided by median of A; below 1, B is faster.

    Attributes:
        value: median of B / median of A.
        low, high: its interval at 95 % confidence.
    """

    value: float
    low: float
    high: float

    @property
    def differs(self) -> bool:
        """Whether the interval excludes 1."""
        return not self.low <= 1 <= self.high


def ratio_of_rounds(rounds: Sequence[Round]) -> Ratio:
    """The ratio of two operands that were interleaved, in several rounds of a run.

    Each round gives a ratio of medians. A disturbance during a round affects both operands alike; what
    varies with each opening, such as where the weights are placed in memory, is constant within a round. So
    the independent samples are rounds, not queries. A burst of other work that hits one operand alone spoils
    its round, so a fifth of the rounds is left out at either end: the ratio is the geometric mean of the
    rest, its interval that of Yuen for a trimmed mean, over logarithms.

    Args:
        rounds: at least three.

    Raises:
        OptionError: fewer than three rounds, or fewer than 8 queries per operand.
    """
    queries = min(sum(len(pair[side]) for pair in rounds) for side in (0, 1)) if rounds else 0
    whole = [pair for pair in rounds if len(pair[0]) and len(pair[1])]
    _require(queries)
    if len(whole) < FEWEST_ROUNDS:
        raise OptionError(
            f"{len(whole)} rounds are too few to compare; at least {FEWEST_ROUNDS} are needed.",
            "Measure for longer: --duration 30.",
        )
    logs = np.sort(np.log([np.median(b) / np.median(a) for a, b in whole]))
    count, cut = len(logs), int(_TRIMMED * len(logs))
    trimmed = logs[cut : count - cut]
    # Yuen: a value that is left out counts as the nearest one that remains.
    deviation = float(np.clip(logs, trimmed[0], trimmed[-1]).std(ddof=1))
    error = deviation * math.sqrt((count - 1) / (len(trimmed) * (len(trimmed) - 1)))
    reach = student(len(trimmed) - 1) * error
    middle = float(trimmed.mean())
    return Ratio(math.exp(middle), math.exp(middle - reach), math.exp(middle + reach))


def separate_ratio(a: NDArray[np.float64], b: NDArray[np.float64]) -> Ratio:
    """The ratio of two operands measured in separate runs, by drawing blocks of each with replacement.

    Neighboring queries are correlated, so whole blocks are drawn. Differences between the runs themselves
    are not covered by the interval.

    Args:
        a, b: milliseconds, in order.

    Raises:
        OptionError: fewer than 8 queries of an operand.
    """
    drawn = _medians(b, seed=1) / _medians(a, seed=0)
    tail = 50 * (1 - CONFIDENCE)
    low, high = np.percentile(drawn, [tail, 100 - tail])
    value = float(np.median(b) / np.median(a))
    return Ratio(value, min(float(low), value), max(float(high), value))


def student(freedom: int) -> float:
    """The two-sided 95 % quantile of Student's distribution, to 1 % from 2 degrees of freedom on.

    Args:
        freedom: degrees of freedom.
    """
    if freedom == 2:
        return 4.302653  # the series below is not accurate enough here
    z = _NORMAL
    return float(
        z
        + (z**3 + z) / (4 * freedom)
        + (5 * z**5 + 16 * z**3 + 3 * z) / (96 * freedom**2)
        + (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / (384 * freedom**3)
    )


def _require(count: int) -> None:
    if count < FEWEST_QUERIES:
        raise OptionError(
            f"{count} queries of an operand are too few to compare; at least {FEWEST_QUERIES} are needed.",
            "Measure for longer: --duration 30.",
        )


def _medians(values: NDArray[np.float64], seed: int) -> NDArray[np.float64]:
    """The medians of many draws of blocks."""
    _require(len(values))
    length = -(-len(values) // _BLOCKS)
    blocks = values[: len(values) // length * length].reshape(-1, length)  # the remainder is dropped
    draws = np.random.default_rng(seed).integers(0, len(blocks), (_DRAWS, len(blocks)))
    step = max(_AT_ONCE // blocks.size, 1)
    parts = [draws[first : first + step] for first in range(0, _DRAWS, step)]
    return np.concatenate([np.median(blocks[part].reshape(len(part), -1), axis=1) for part in parts])
