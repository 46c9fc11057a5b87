"""Parity of a tiled category: the same tiles through every artifact, and the joined maps of whole images.

The maps of a large image do not stay: every artifact gets a tile before the next one is cut.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.metrics import Metrics
from dmdd_edge.evaluation.test_set import ComputedMaps, CountedPixels, Evaluation, Predictor, TestSet
from dmdd_edge.evaluation.tiled import TILE_BATCH
from dmdd_edge.evaluation.views import Masks, Views

#: Whole images that are compared at most; each has many tiles.
MOST_IMAGES = 24
#: Differences that are kept of an image's map, evenly spread, for their percentile.
_KEPT = 1 << 16

#: Of images without a truth.
NO_METRICS = Metrics(None, None, None, None, None, None, None)
#: Largest difference of a map's value, of tiles and joined maps, and the 99th percentile of the latter.
Differences = tuple[float, float]


def spread_set(test: TestSet, most: int = MOST_IMAGES) -> TestSet:
    """Some images of a tiled test set, good and defective ones alike, evenly spread."""
    assert isinstance(test.images, Views)
    assert isinstance(test.masks, Masks)
    labels = test.labels
    chosen: list[int] = []
    for of_kind in (np.flatnonzero(~labels), np.flatnonzero(labels)):
        count = min(len(of_kind), max(most // 2, most - int(min(labels.sum(), (~labels).sum()))))
        chosen += of_kind[np.linspace(0, len(of_kind) - 1, count).round().astype(int)].tolist()
    return TestSet(
        [test.items[index] for index in chosen],
        test.images.taken(chosen),
        Masks(tuple(test.masks.packed[index] for index in chosen)),
        test.has_mask[chosen],
        tuple(test.shapes[index] for index in chosen),
    )


def compare_whole(
    predictors: Mapping[str, Predictor],
    images: Views,
    test: TestSet | None,
    progress: Callable[[int], None] = lambda done: None,
) -> tuple[dict[str, Evaluation], dict[str, Differences]]:
    """Evaluate whole images with several predictors, and compare each with the first.

    Args:
        predictors: by name; the first one is the reference.
        images: the views.
        test: the test set of these images, for the figures; None without one.
        progress: called with the number of images done.

    Returns:
        the evaluations of all, and the differences of all but the first.
    """
    reference, *others = predictors
    counted = {name: CountedPixels(test) for name in predictors} if test is not None else {}
    scores = {name: np.zeros(len(images), np.float32) for name in predictors}
    largest = dict.fromkeys(others, 0.0)
    kept: dict[str, list[NDArray[np.float32]]] = {name: [] for name in others}
    for index in range(len(images)):
        view, layout = images.read(index)
        joinings = {name: layout.joining() for name in predictors}
        for start in range(0, layout.count, TILE_BATCH):
            tiles = layout.cut(view, start, start + TILE_BATCH)
            outputs = {name: predict(tiles) for name, predict in predictors.items()}
            for name, output in outputs.items():
                joinings[name].add(*output)
            for name in others:
                difference = np.abs(outputs[name][0] - outputs[reference][0]).max()
                # The maximum of not-a-number and a number is the former, which then exceeds every limit.
                largest[name] = float(np.maximum(largest[name], difference))
        joined = {}
        for name, joining in joinings.items():
            joined[name], scores[name][index] = joining.result()
        for name in others:
            difference_map = np.abs(joined[name] - joined[reference])
            largest[name] = float(np.maximum(largest[name], difference_map.max()))
            kept[name].append(difference_map.ravel()[:: -(-difference_map.size // _KEPT)])
        for name, pixels in counted.items():
            pixels.add(index, joined[name])
        progress(index + 1)
    evaluations = {}
    for name, predict in predictors.items():
        pixels_of = counted.get(name)
        metrics = NO_METRICS if pixels_of is None else pixels_of.metrics(scores[name])
        evaluations[name] = Evaluation(metrics, ComputedMaps(predict, images), scores[name], pixels_of)
    return evaluations, {
        name: (largest[name], float(np.quantile(np.concatenate(kept[name]), 0.99))) for name in others
    }
