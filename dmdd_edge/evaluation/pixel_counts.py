"""The pixel measures of maps that are not kept: counts of values in fine bins, image by image.

Within a bin an anomalous and a normal pixel count as equal. The measures then agree with the exact ones of
``metrics.evaluate`` to less than 1e-4.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.errors import DataError
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.regions import region_weights
from dmdd_edge.evaluation.value_bins import ValueBins, Values

#: Values that are binned at once, to bound the memory of a large map.
_AT_ONCE = 1 << 20


@dataclass
class PixelCounts:
    """Counts of the pixels of some maps by bin.

    Attributes:
        normal, anomalous: int64, a number per bin.
        weighted: of the anomalous pixels, each one over the size of its region, float64.
    """

    normal: NDArray[np.int64]
    anomalous: NDArray[np.int64]
    weighted: NDArray[np.float64]

    @classmethod
    def empty(cls, bins: ValueBins) -> PixelCounts:
        """The counts of no map."""
        whole = np.zeros(bins.count, np.int64)
        return cls(whole, whole.copy(), np.zeros(bins.count))

    def count(self, bins: ValueBins, values: Values, mask: NDArray[np.bool_]) -> None:
        """Count the pixels of a map.

        Args:
            bins: of these counts.
            values: float32 rows x columns, 0..1.
            mask: bool, of the same shape, True = anomalous.
        """
        flat, truth = values.ravel(), mask.ravel()
        for start in range(0, flat.size, _AT_ONCE):
            part, wrong = flat[start : start + _AT_ONCE], truth[start : start + _AT_ONCE]
            self.normal += np.bincount(bins(part[~wrong]), minlength=bins.count)
        if mask.any():
            found = bins(values[mask])
            self.anomalous += np.bincount(found, minlength=bins.count)
            self.weighted += np.bincount(found, region_weights(mask), minlength=bins.count)

    def add(self, other: PixelCounts) -> None:
        """Add the counts of other maps to these."""
        self.normal += other.normal
        self.anomalous += other.anomalous
        self.weighted += other.weighted

    @classmethod
    def sum(cls, parts: Iterable[PixelCounts]) -> PixelCounts:
        """The counts of all maps of some counts, at least one."""
        first, *others = parts
        total = cls(first.normal.copy(), first.anomalous.copy(), first.weighted.copy())
        for part in others:
            total.add(part)
        return total

    def rankings(self) -> tuple[Ranking | None, Ranking | None]:
        """The bins of anomalous pixels ranked: each pixel counts once, and each region counts once.

        For ``auroc`` and ``area_up_to``; None where a kind of pixels is missing.
        """
        total = int(self.normal.sum())
        used = np.flatnonzero(self.anomalous)
        if not total or not len(used):
            return None, None
        above = total - np.cumsum(self.normal)[used]
        equal = self.normal[used]

        def ranked(weights: NDArray[np.float64]) -> Ranking:
            share = weights / weights.sum()
            return Ranking(used.astype(np.float64), above, equal, total, share, np.arange(len(used)))

        return ranked(self.anomalous[used].astype(np.float64)), ranked(self.weighted[used])

    def average_precision(self) -> float | None:
        """Average precision of the pixels; None where a kind of pixels is missing."""
        anomalous = int(self.anomalous.sum())
        if not anomalous or not int(self.normal.sum()):
            return None
        used = np.flatnonzero(self.anomalous)[::-1]
        gained = self.anomalous[used]
        true = np.cumsum(gained)
        false = np.cumsum(self.normal[::-1])[len(self.normal) - 1 - used]
        return float((gained * true / (true + false)).sum() / anomalous)


def require_finite(values: Values | NDArray[np.float64]) -> None:
    """Refuse maps or scores with not-a-number or infinity.

    Raises:
        DmddError: there is one.
    """
    # A sum is NaN or infinite when any of its terms is; cheaper than a mask of all pixels.
    if not np.isfinite(values.sum(dtype=np.float64)):
        raise DataError(
            "Scores or anomaly maps contain NaN or infinity.",
            fix="The training has diverged; train again.",
        )
