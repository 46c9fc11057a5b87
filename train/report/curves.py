"""The curves behind the figures: exact vertices from the ranking, thinned to what a drawing needs."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.pixel_counts import PixelCounts
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.regions import region_weights
from dmdd_edge.evaluation.test_set import Evaluation, TestSet

#: x and y of a curve's points, each (P,) float64.
Curve = tuple[NDArray[np.float64], NDArray[np.float64]]


def curve(ranking: Ranking) -> Curve:
    """The share of weight found over the false positive rate, from (0, 0) to (1, 1).

    Between two vertices the curve is a straight line; anomalous and normal values that are equal give a
    slope, as in ``Ranking.area_up_to``, so the area under the points is exactly the figure.
    """
    values, weights = ranking.values[::-1], ranking.weights[::-1]
    last = np.flatnonzero(np.r_[values[1:] != values[:-1], True])
    detected = np.cumsum(weights)[last]
    start = ranking.above[::-1][last] / ranking.normals
    end = start + ranking.equal[::-1][last] / ranking.normals
    x = np.stack([start, end], 1).ravel()
    y = np.stack([np.r_[0.0, detected[:-1]], detected], 1).ravel()
    return np.r_[0.0, x, 1.0], np.r_[0.0, np.minimum(y, 1.0), 1.0]


def up_to(points: Curve, limit: float) -> Curve:
    """A curve cut off at a false positive rate, with a point at the limit itself."""
    x, y = points
    inside = x <= limit
    if inside.all():
        return points
    after = int(np.argmin(inside))
    x0, x1, y0, y1 = x[after - 1], x[after], y[after - 1], y[after]
    at_limit = y0 + (y1 - y0) * (limit - x0) / (x1 - x0)
    return np.r_[x[inside], limit], np.r_[y[inside], at_limit]


def area(points: Curve) -> float:
    """The area under a curve's points."""
    x, y = points
    return float((np.diff(x) * (y[1:] + y[:-1]) / 2).sum())


def thinned(points: Curve, width: float, grid: int = 800) -> Curve:
    """A curve with only the points that a drawing can show apart; the ends stay.

    Args:
        points: x in 0..width and y in 0..1, neither falling.
        width: what the drawing's width stands for.
        grid: steps of the drawing on each axis.
    """
    places = np.rint(np.stack([points[0] / width, points[1]], 1) * grid).astype(np.int32)
    distinct = np.r_[True, (places[1:] != places[:-1]).any(1)]
    distinct[-1] = True
    line = places[distinct]
    # Points on a straight line are dropped too; a step is half a pixel of a chart on a page.
    short = cv2.approxPolyDP(line.reshape(-1, 1, 2), 1.0, closed=False).reshape(-1, 2)
    x, y = short.astype(np.float64).T / grid
    return width * x, y


def image_ranking(scores: NDArray[np.float32], labels: NDArray[np.bool_]) -> Ranking | None:
    """The image scores, as the image AUROC ranks them; None when one kind is missing."""
    values = np.asarray(scores, np.float64)
    return Ranking.of(values[labels], [np.sort(values[~labels])])


def pixel_rankings(test: TestSet, evaluation: Evaluation) -> tuple[Ranking | None, Ranking | None]:
    """Rankings of the pixels with known truth: each pixel counting once, and each region counting once.

    Args:
        test: the test images.
        evaluation: of them; of a tiled category the pixels were counted while the maps were there.

    Returns:
        the rankings of pixel AUROC and of PRO; None without anomalous or without normal pixels.
    """
    if evaluation.pixels is not None:
        return PixelCounts.sum(evaluation.pixels.counts.values()).rankings()
    normals = [np.empty(0, np.float32)]
    anomalous = [np.empty(0, np.float32)]
    weights = [np.empty(0)]
    for index in np.flatnonzero(test.has_mask).tolist():
        mask, values = test.masks[index], evaluation.maps[index]
        normals.append(values[~mask])
        if mask.any():
            anomalous.append(values[mask])
            weights.append(region_weights(mask))
    ordered, values = [np.sort(np.concatenate(normals))], np.concatenate(anomalous)
    return Ranking.of(values, ordered), Ranking.of(values, ordered, np.concatenate(weights))
