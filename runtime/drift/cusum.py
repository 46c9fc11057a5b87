"""CUSUM of values that are standard normal while nothing changes, designed by its mean run length."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import numpy as np

#: Subtracted from each value: the chart is the fastest for a change of twice that many standard deviations.
ALLOWANCE = 0.5
#: Nodes of the quadrature; the kernel is smooth on the scale of 1, and no limit in use is above 30.
_NODES = 64
_LARGEST = 30.0
#: Difference of the logarithms of two run lengths that is none.
_CLOSE = 1e-6


@lru_cache(maxsize=256)
def mean_run_length(limit: float, allowance: float = ALLOWANCE) -> float:
    """Mean number of values until a one-sided CUSUM that starts at 0 exceeds a limit by chance.

    L(u) = 1 + L(0) P(z <= k - u) + the integral over 0..h of L(x) phi(x + k - u) (Page 1954), solved by
    Gauss-Legendre quadrature (Nystroem).

    Args:
        limit: h, in standard deviations, above 0 and at most 30.
        allowance: k.
    """
    nodes, weights = np.polynomial.legendre.leggauss(_NODES)
    x, w = (nodes + 1) * limit / 2, weights * limit / 2
    starts = np.concatenate([[0.0], x])
    kernel = np.exp(-((x[None, :] + allowance - starts[:, None]) ** 2) / 2) / math.sqrt(2 * math.pi)
    to_zero = np.array([_below(allowance - start) for start in starts])
    matrix = np.eye(_NODES + 1)
    matrix[:, 0] -= to_zero
    matrix[:, 1:] -= kernel * w
    return float(np.linalg.solve(matrix, np.ones(_NODES + 1))[0])


@lru_cache(maxsize=256)
def limit_for(run_length: float, allowance: float = ALLOWANCE) -> float:
    """The limit whose mean run length is the given one, in standard deviations; at most 30."""
    wanted = math.log(run_length)
    # The logarithm of the run length grows almost in proportion to the limit, so a few secants are enough.
    low, high = 1.0, 10.0
    at_low, at_high = (math.log(mean_run_length(limit, allowance)) for limit in (low, high))
    for _ in range(12):
        if abs(at_high - wanted) < _CLOSE or at_high == at_low:
            break
        step = (wanted - at_high) * (high - low) / (at_high - at_low)
        low, at_low = high, at_high
        high = min(max(high + step, 0.05), _LARGEST)
        at_high = math.log(mean_run_length(high, allowance))
    return high


class Cusum:
    """Sums what exceeds the allowance in one direction; begins a warning above its limit.

    The sum is held at the limit while the warning lasts, which ends when the sum is back at 0: after at
    least limit / allowance values that are on the whole as they were before.

    Args:
        sign: 1 for values that rise, -1 for values that fall.
        limit: of the sum.
        allowance: subtracted from each value.

    Attributes:
        sum: now, 0..limit.
        warning: whether the limit was exceeded, and the sum has not been back at 0 since.
        since: number of values since the sum was 0 last; the change began with the first of these.
    """

    def __init__(self, sign: int, limit: float, allowance: float = ALLOWANCE) -> None:
        self.sign, self.limit, self.allowance = sign, limit, allowance
        self.sum, self.since, self.warning = 0.0, 0, False

    def add(self, value: float) -> bool:
        """Take a value; returns whether a warning begins or ends with it."""
        before = self.warning
        self.sum = max(self.sum + self.sign * value - self.allowance, 0.0)
        self.since = self.since + 1 if self.sum > 0 else 0
        if self.sum > self.limit:
            self.sum, self.warning = self.limit, True
        elif self.sum == 0:
            self.warning = False
        return self.warning != before

    def to_json(self) -> list[Any]:
        """What a later run needs."""
        return [self.sum, self.since, self.warning]

    def restore(self, kept: list[Any]) -> None:
        """Continue from ``to_json``."""
        value, since, warning = kept
        self.sum, self.since, self.warning = min(float(value), self.limit), int(since), bool(warning)


def _below(value: float) -> float:
    return math.erfc(-value / math.sqrt(2)) / 2
