"""The promise on drawn scores whose true false-alarm rate is known, where thousands of archives are cheap."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.runtime.recalibration.rate import Period, rate_at, threshold_of

Scores = NDArray[np.float64]


#: Archives of each case whose stated range is checked against the true rate.
_RANGES = 200


@dataclass(frozen=True)
class Case:
    """A line that is simulated.

    Attributes:
        what: for the table.
        parts: good parts of each period.
        before: false-alarm rate of the old threshold of each period.
        rates: sampling rate of each period.
        alpha: requested false-alarm rate.
        defects: bad parts that pass, as a share of the passing ones; all that are sampled are called bad.
        until: end when this many false alarms are there; 0 for a fixed number of parts.
    """

    what: str
    parts: tuple[int, ...]
    before: tuple[float, ...]
    rates: tuple[float, ...]
    alpha: float
    defects: float = 0.0
    until: int = 0


CASES = (
    Case("raise: 3 % false alarms, 1 % wanted", (2000,), (0.03,), (0.01,), 0.01),
    Case("raise: 20 % false alarms, 1 % wanted", (200,), (0.2,), (0.1,), 0.01),
    Case("raise, ended at the 30th false alarm", (4000,), (0.03,), (0.01,), 0.01, until=30),
    Case("lower: 0.2 % false alarms, 5 % wanted", (2000,), (0.002,), (0.1,), 0.05),
    Case("lower, small sample", (2000,), (0.002,), (0.01,), 0.05),
    Case("near: 1 % false alarms, 1 % wanted", (2000,), (0.01,), (0.1,), 0.01),
    Case("two thresholds, 4 % and 2 %, 1 % wanted", (1000, 1000), (0.04, 0.02), (0.02, 0.1), 0.01),
    Case("two thresholds, 4 % and 1 %, 3 % wanted", (1000, 1000), (0.04, 0.01), (0.02, 0.1), 0.03),
    Case("raise, 1 % of the passing parts are bad", (2000,), (0.03,), (0.05,), 0.01, defects=0.01),
    Case("lower, 1 % of the passing parts are bad", (2000,), (0.002,), (0.1,), 0.05, defects=0.01),
)


def measure(case: Case, archives: int, seed: int) -> dict[str, Any]:
    """True false-alarm rates of the thresholds from many archives of one line.

    A good part's score is drawn evenly from 0..1, so that the true rate of a threshold t is 1 - t; what is
    promised depends on the order of scores alone.

    Returns:
        ``mean`` of the true rates with its standard error ``error``, ``within``: share of the first 200
        archives whose true rate is in the range that is stated beside it; ``without``: archives without a
        sampled part.
    """
    rng = np.random.default_rng(seed)
    rates, within, without = [], 0, 0
    for _ in range(archives):
        periods = [
            period
            for parts, before, rate in zip(case.parts, case.before, case.rates, strict=True)
            if (period := _period(case, parts, 1 - before, rate, rng)) is not None
        ]
        if not periods:
            without += 1
            continue
        threshold = threshold_of(periods, case.alpha)
        assert threshold is not None
        rates.append(1 - threshold)
        if len(rates) <= _RANGES:
            stated = rate_at(periods, threshold)
            within += stated.low <= 1 - threshold <= stated.high
    found = np.array(rates)
    return {
        "what": case.what,
        "alpha": case.alpha,
        "mean": round(float(found.mean()), 6),
        "error": round(float(found.std() / np.sqrt(len(found))), 6),
        "within": round(within / min(len(found), _RANGES), 4),
        "archives": len(found),
        "without": without,
    }


def _period(case: Case, parts: int, level: float, rate: float, rng: np.random.Generator) -> Period | None:
    scores = rng.random(parts)
    if case.until:
        (alarms,) = np.nonzero(scores > level)
        if len(alarms) >= case.until:
            scores = scores[: alarms[case.until - 1] + 1]
    passing = scores[scores <= level]
    sample = passing[rng.random(len(passing)) < rate]
    bad = rng.binomial(round(case.defects * len(passing)), rate) if case.defects else 0
    if not len(sample):
        return None
    passed = len(passing) + round(case.defects * len(passing))
    return Period(
        level,
        max(passed * len(sample) / (len(sample) + bad), len(sample)),
        np.sort(sample),
        np.sort(scores[scores > level]),
        np.empty(0),
    )
