"""The false-alarm rate of a threshold, from good parts that were seen through a censor.

A part above the threshold in force was kept for certain. A part below it was kept with the sampling rate, by
a separate draw. What was judged under one threshold at one sampling rate is a period; how many parts passed
in it is known from the counts, whether they were kept or not.

So a good part that raised an alarm stands for itself, and each of the ``m`` sampled parts of a period stands
for ``(n + 1) / (m + 1)`` of its ``n`` good passing parts. The threshold of a rate alpha is the smallest score
``t`` with

    (weight of good parts above t) + (weight of one further part) <= alpha * (good parts + 1)

where the further part, the one that comes next, weighs 1 if ``t`` is not below any period's threshold, and
otherwise the largest weight of a sampled part of the periods whose threshold is above ``t``.

With one period this is exact for finite samples, whatever the distribution of the scores: the next good part
of the same process is above ``t`` with probability alpha at most. Proof, with n + a good parts of which a are
above the old threshold, N = n + a + 1 of them with the next one, T of the N above the old threshold, and
k = floor(alpha N). Each of the N is the next one with equal probability.

1. T > k: ``t`` is the k-th largest of the others that are above the old threshold. The next part exceeds it
   with probability k / T if it is one of the T, and never otherwise: T / N * k / T = k / N <= alpha.
2. T <= k: ``t`` is the old threshold or below it, unless a = k. The next part exceeds it if it is one of the
   T. If not, it and the m sampled parts are in random order, and it is among the first j with probability
   j / (m + 1), where j is the largest number with T + (N - T) j / (m + 1) <= alpha N; none if a = k.

With several periods, and with a share of defective parts among the passing ones that only the sample tells,
the promise is no longer exact; ``benchmarks/upkeep/feedback.py`` measures it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Scores = NDArray[np.float64]

#: Rounding of sums of weights must not cost a rank.
_ROUNDING = 1e-9
#: Draws of the range of the rate, their seed, and the quantiles that bound it.
_DRAWS, _SEED, _RANGE = 20_000, 0, (5.0, 95.0)


@dataclass(frozen=True)
class Period:
    """Good parts that were judged under one threshold and one sampling rate.

    Attributes:
        threshold: parts above it were all kept; 0..1.
        passing: good parts that were not; an estimate where some of the sampled ones are bad.
        sample: scores of those of them that the random sample kept, ascending, none above ``threshold``.
        alarms: scores of parts that raised an alarm and are good, ascending.
        unreviewed: scores of alarms of which nobody said what they are, ascending.
        unknown: number of alarms of which not even the score is known.
    """

    threshold: float
    passing: float
    sample: Scores
    alarms: Scores
    unreviewed: Scores
    unknown: int = 0

    @property
    def weight(self) -> float:
        """Number of passing parts that a sampled one stands for."""
        return (self.passing + 1) / (len(self.sample) + 1)

    @property
    def good(self) -> float:
        """Number of good parts."""
        return self.passing + len(self.alarms)


@dataclass(frozen=True)
class RateAt:
    """What is known of the false-alarm rate of a threshold.

    Attributes:
        estimate: share of good parts that are above it, as far as they were seen.
        low, high: the rate is between them in at least nine of ten cases; so is ``estimate``, always.
        effective: number of images of a plain sample that would tell the rate as closely.
    """

    estimate: float
    low: float
    high: float
    effective: float


def threshold_of(periods: Sequence[Period], alpha: float, pessimistic: bool = False) -> float | None:
    """The threshold that the next good part exceeds with probability at most ``alpha``.

    Where there are too few good parts for ``alpha``, it is that of the rate that they support,
    1 / (good parts + 1).

    Args:
        periods: at least one, with at least one good part.
        alpha: 0..1, both excluded.
        pessimistic: take the unreviewed alarms for good where that raises the threshold; else all for bad.

    Returns:
        One of the scores, or the threshold of a period; None where too many alarms have unknown scores.
    """
    levels = np.unique(
        np.concatenate(
            [
                part
                for period in periods
                for part in (period.sample, period.alarms, period.unreviewed, [period.threshold])
            ]
        )
    )
    above, further, total = np.zeros(len(levels)), np.ones(len(levels)), np.zeros(len(levels))
    for period in periods:
        above += _count_above(period.alarms, levels) + period.weight * _count_above(period.sample, levels)
        further = np.where(levels < period.threshold, np.maximum(further, period.weight), further)
        total += period.good
        if pessimistic:
            # Those below a threshold are not counted: they would only make room for more false alarms.
            doubtful = _count_above(period.unreviewed, levels) + period.unknown
            above, total = above + doubtful, total + doubtful
    allowed = np.maximum(alpha * (total + 1), 1)
    (fitting,) = np.nonzero(above + further <= allowed * (1 + _ROUNDING))
    return float(levels[fitting[0]]) if len(fitting) else None


def rate_at(periods: Sequence[Period], threshold: float) -> RateAt:
    """The false-alarm rate of a threshold, if the unreviewed alarms are bad.

    Args:
        periods: at least one, with at least one good part.
        threshold: 0..1.
    """
    random = np.random.default_rng(_SEED)
    good = sum(period.good for period in periods)
    level = np.array([threshold])
    certain = sum(int(_count_above(period.alarms, level)[0]) for period in periods)
    estimate = float(certain)
    draws = random.beta(certain + 1, max(good - certain, 1), _DRAWS)
    for period in periods:
        sampled, over = len(period.sample), int(_count_above(period.sample, level)[0])
        if threshold < period.threshold and sampled:
            share = period.passing / good
            estimate += period.passing * over / sampled
            draws = draws + share * random.beta(over + 1, max(sampled - over, 1), _DRAWS)
    low, high = np.percentile(np.minimum(draws, 1), _RANGE)
    mean, variance = float(draws.mean()), float(draws.var())
    share = estimate / good
    # The draws allow for parts that were not seen, so that the share of those seen may be below all of them.
    within = min(float(low), share), max(float(high), share)
    return RateAt(share, *within, min(mean * (1 - mean) / variance, good))


def _count_above(scores: Scores, levels: Scores) -> NDArray[np.int64]:
    return len(scores) - np.searchsorted(scores, levels, side="right")
