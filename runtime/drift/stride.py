"""How far apart frames must be to tell something new: a line shows the same part in several frames."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray

#: The largest stride.
LARGEST = 64
#: Autocorrelation up to which frames count as new: that of batches of twenty such frames is then about 1 %.
_NEW = 0.2
#: The fewest values for an estimate.
_FEWEST = 100


def stride_of(series: Iterable[Sequence[float]]) -> tuple[int, bool]:
    """The distance in frames at which every measure of the first frames is uncorrelated.

    A trend counts as no correlation: it is what the watch is to find.

    Args:
        series: values of each measure, frame by frame.

    Returns:
        a power of two, at most 64; and whether that distance is really enough.
    """
    found, enough = 1, True
    for values in series:
        if len(values) < _FEWEST:
            continue
        centered = _without_trend(np.asarray(values, np.float64))
        energy = float(centered @ centered)
        if energy <= 1e-12 * len(values):
            continue
        stride = 1
        while _correlation(centered, energy, stride) > _NEW:
            if 2 * stride > min(LARGEST, len(values) // 4):
                enough = False
                break
            stride *= 2
        found = max(found, stride)
    return found, enough


def _without_trend(values: NDArray[np.float64]) -> NDArray[np.float64]:
    steps = np.arange(len(values)) - (len(values) - 1) / 2
    centered = values - values.mean()
    return np.asarray(centered - steps * float(steps @ centered) / float(steps @ steps), np.float64)


def _correlation(centered: NDArray[np.float64], energy: float, lag: int) -> float:
    return float(centered[lag:] @ centered[:-lag]) / energy
