"""Exact ranking measures from one sort: area under the ROC curve, average precision, best F1, region overlap.

All of them depend only on how many normal values are above, and at, each anomalous value. Normal pixels
outnumber anomalous ones by far, so they are sorted once (float32, no indices, in as many sorted pieces as
one likes) and the few anomalous values are looked up in them. Ties are handled exactly, no thresholds are
sampled.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float32] | NDArray[np.float64]


@dataclass(frozen=True)
class Ranking:
    """Anomalous values and where they stand among the normal ones.

    Attributes:
        values: anomalous values, ascending, (P,).
        above: how many normal values are larger than each, (P,) int64.
        equal: how many normal values equal each, (P,) int64.
        normals: the number of normal values.
        weights: what each anomalous value counts, (P,) float64, summing to 1.
        order: where each value stood among the anomalous values given, (P,).
    """

    values: Values
    above: NDArray[np.int64]
    equal: NDArray[np.int64]
    normals: int
    weights: NDArray[np.float64]
    order: NDArray[np.intp]

    @classmethod
    def of(
        cls,
        anomalous: Values,
        sorted_normals: Sequence[Values],
        weights: NDArray[np.float64] | None = None,
    ) -> Ranking | None:
        """Rank values; None when either kind is missing, as no measure is defined then.

        Args:
            anomalous: (P,) in any order.
            sorted_normals: arrays that are each sorted ascending; together they are the normal values.
            weights: (P,) positive, of any sum; equal when None.
        """
        normals = sum(len(piece) for piece in sorted_normals)
        if len(anomalous) == 0 or normals == 0:
            return None
        order = np.argsort(anomalous)  # sorted needles keep the look-up within the cache
        values = anomalous[order]
        above = np.zeros(len(values), np.int64)
        equal = np.zeros(len(values), np.int64)
        for piece in sorted_normals:
            right = np.searchsorted(piece, values, side="right")
            above += len(piece) - right
            equal += right - np.searchsorted(piece, values, side="left")
        share = np.full(len(values), 1.0 / len(values))
        ranked = cls(values, above, equal, normals, share, order)
        return ranked if weights is None else ranked.weighted(weights)

    def weighted(self, weights: NDArray[np.float64]) -> Ranking:
        """The same values with other weights, without looking them up again.

        Args:
            weights: (P,) positive, of any sum, in the order of the anomalous values given to ``of``.
        """
        share = weights[self.order]
        return replace(self, weights=share / share.sum())

    def auroc(self) -> float:
        """The area under the ROC curve: how often an anomalous value exceeds a normal one, ties half."""
        area = 1.0 - (self.weights * (self.above + 0.5 * self.equal)).sum() / self.normals
        return max(float(area), 0.0)  # the weights' sum may exceed 1 by a rounding error

    def area_up_to(self, limit: float) -> float:
        """The area under the curve of weight found over false positive rate, up to a rate, divided by it.

        The curve is linear between its exact points, also at the limit. An anomalous value adds its weight
        as a ramp from the rate of the normal values above it to that of those not below it; what it adds to
        the area up to the limit is the area under that ramp.
        """
        start = self.above / self.normals
        width = self.equal / self.normals
        inside = np.clip(limit - start, 0.0, width)  # how much of the ramp is before the limit
        ramp = np.divide(inside**2, 2 * width, out=np.zeros_like(width), where=width > 0)
        full = np.maximum(limit - start - width, 0.0)
        return float((self.weights * (ramp + full)).sum() / limit)

    def average_precision(self) -> float:
        """Average precision, the sum of precision times gain in recall over all thresholds (unweighted)."""
        true, false, gained = self._at_thresholds()
        return float((gained * true / (true + false)).sum() / len(self.values))

    def best_f1(self) -> float:
        """The largest F1 over all thresholds, a value being called anomalous from the threshold on."""
        true, false, _ = self._at_thresholds()
        return float((2 * true / (true + false + len(self.values))).max())

    def _at_thresholds(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
        """True positives, false positives and newly found ones at each distinct anomalous value.

        A threshold between two of these finds nothing new, so neither recall nor the best F1 needs it.
        """
        first = np.flatnonzero(np.r_[True, self.values[1:] != self.values[:-1]])
        true = len(self.values) - first
        false = (self.above + self.equal)[first]
        gained = np.diff(np.r_[first, len(self.values)])
        return true, false, gained
