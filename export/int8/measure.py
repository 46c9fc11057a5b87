"""What INT8 costs: the figures, the order of the scores and the false alarms, against the fp32 graph."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import DEFAULT_ALPHA, threshold_from_normals
from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.evaluation.test_set import Evaluation, TestSet

_Numbers = Sequence[float] | NDArray[np.float32]


@dataclass(frozen=True)
class Limits:
    """How much an INT8 graph may lose.

    Attributes:
        image_auroc, pixel_auroc, pro: largest loss of a figure, 0..1. For I-AUROC the standard error of the
            difference where that is larger, up to ``unresolved``.
        rank: smallest rank correlation (Spearman) of its scores with the fp32 graph's.
        false_alarms: how much larger the share of false alarms may be, each graph at its own threshold.
        unresolved: largest loss of I-AUROC that may count as chance, 0..1.
    """

    image_auroc: float = 0.003
    pixel_auroc: float = 0.001
    pro: float = 0.003
    rank: float = 0.98
    false_alarms: float = 0.02
    unresolved: float = 0.01

    def scaled(self, factor: float) -> Limits:
        """Stricter limits: a part of what is allowed."""
        return Limits(
            self.image_auroc * factor,
            self.pixel_auroc * factor,
            self.pro * factor,
            1 - (1 - self.rank) * factor,
            self.false_alarms * factor,
            self.unresolved * factor,
        )

    def widened(self, points: float) -> Limits:
        """The limits of ``--allow-accuracy-loss``: the points more of each figure, and of the other two."""
        more = points / 100
        return Limits(
            self.image_auroc + more,
            self.pixel_auroc + more,
            self.pro + more,
            self.rank - more,
            self.false_alarms + more,
            self.unresolved + more,
        )


@dataclass(frozen=True)
class Loss:
    """An INT8 graph against the fp32 graph, on one set of images.

    Attributes:
        images: what they are.
        good, bad: their numbers.
        image_auroc, pixel_auroc, pro: the figure minus fp32's, 0..1; None where the set cannot give it.
        rank: rank correlation of the scores.
        false_alarms, false_alarms_fp32: share of good images above the threshold, each at its own.
        image_auroc_error: standard error of the difference of I-AUROC, 0..1, over other images like these.
    """

    images: str
    good: int
    bad: int
    image_auroc: float | None
    pixel_auroc: float | None
    pro: float | None
    rank: float
    false_alarms: float
    false_alarms_fp32: float
    image_auroc_error: float = 0.0

    def problems(self, limits: Limits) -> list[str]:
        """Each figure beyond its limit, in words; empty when every one holds."""
        found = []
        for name in PAPER_FIELDS:
            value, limit = getattr(self, name), getattr(limits, name)
            if name == "image_auroc":
                limit = max(limit, min(self.image_auroc_error, limits.unresolved))
            if value is not None and not -value <= limit:
                found.append(f"{name} falls by {-100 * value:.2f} points, {100 * limit:.2f} are allowed")
        if not self.rank >= limits.rank:
            found.append(f"the rank correlation of scores is {self.rank:.3f}, at least {limits.rank:.3f}")
        more = self.false_alarms - self.false_alarms_fp32
        limit = max(limits.false_alarms, 1.01 / max(self.good, 1))
        if not more <= limit:
            found.append(
                f"false alarms rise from {100 * self.false_alarms_fp32:.1f} to "
                f"{100 * self.false_alarms:.1f} % of good images"
            )
        return [f"{self.images}: {text}" for text in found]

    def as_dict(self) -> dict[str, Any]:
        """As the manifest keeps it."""
        return asdict(self)


def loss(
    images: str,
    test: TestSet,
    exact: Evaluation,
    coarse: Evaluation,
    thresholds: tuple[float, float] | None = None,
) -> Loss:
    """Compare two graphs on a test set.

    Args:
        images: what they are.
        test: the set.
        exact: of the fp32 graph.
        coarse: of the INT8 graph.
        thresholds: of either, from images that are not in the set; None where the set's good images are the
            ones that a threshold is made from: each half of them then has the threshold of the other half.
    """
    good = ~test.labels
    scores = exact.scores[good], coarse.scores[good]
    if thresholds is None:
        rates = [crossed_rate(each) for each in scores]
    else:
        rates = [float(np.mean(each > at)) for each, at in zip(scores, thresholds, strict=True)]
    return Loss(
        images,
        int(good.sum()),
        int(test.labels.sum()),
        **{name: _difference(exact, coarse, name) for name in PAPER_FIELDS},
        rank=rank_correlation(exact.scores, coarse.scores),
        false_alarms=rates[1],
        false_alarms_fp32=rates[0],
        image_auroc_error=difference_error(exact.scores, coarse.scores, test.labels),
    )


def _difference(exact: Evaluation, coarse: Evaluation, name: str) -> float | None:
    a, b = getattr(exact.metrics, name), getattr(coarse.metrics, name)
    return None if a is None or b is None else float(b - a)


def crossed_rate(scores: NDArray[np.float32], alpha: float = DEFAULT_ALPHA) -> float:
    """The share of good images above a threshold that the other half of them sets; 0 of fewer than two."""
    halves = scores[::2], scores[1::2]
    if not len(halves[1]):
        return 0.0
    above = 0
    for own, other in (halves, halves[::-1]):
        above += int(np.sum(own > threshold_from_normals([float(s) for s in other], alpha).image))
    return above / len(scores)


def difference_error(exact: _Numbers, coarse: _Numbers, labels: NDArray[np.bool_]) -> float:
    """The standard error of the difference of two I-AUROC on the same images, 0..1.

    It is that of DeLong, DeLong and Clarke-Pearson, 1988: how much each good image contributes to the
    difference, and each defective one, varies. 0 with fewer than two of either.

    Args:
        exact, coarse: scores of both graphs, N.
        labels: bool N, whether each image is defective.
    """
    wins = []
    for values in (np.asarray(exact, np.float64), np.asarray(coarse, np.float64)):
        wins.append(np.sign(values[labels][:, None] - values[~labels][None, :]) / 2)
    change = wins[1] - wins[0]
    if min(change.shape) < 2:
        return 0.0
    each = (change.mean(axis) for axis in (0, 1))
    return float(np.sqrt(sum(values.var(ddof=1) / len(values) for values in each)))


def rank_correlation(a: _Numbers, b: _Numbers) -> float:
    """Spearman's rank correlation; equal values share the mean of their ranks.

    Where all values of one are equal it is 0, of both 1.
    """
    ranks = [_ranks(np.asarray(values, np.float64)) for values in (a, b)]
    spread = [float(values.std()) for values in ranks]
    if min(spread) == 0:
        return float(max(spread) == 0)
    x, y = (values - values.mean() for values in ranks)
    return float(np.mean(x * y) / (spread[0] * spread[1]))


def _ranks(values: NDArray[np.float64]) -> NDArray[np.float64]:
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    return np.asarray((last - (counts - 1) / 2)[inverse], np.float64)
