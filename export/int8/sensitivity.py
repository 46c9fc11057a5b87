"""How much each place adds to the error, measured alone; and the order in which places go back to half."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.test_set import predict_all
from dmdd_edge.export.int8.places import Place
from dmdd_edge.export.int8.simulate import Simulation


def errors(
    simulation: Simulation,
    places: Sequence[Place],
    images: NDArray[np.uint8],
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> dict[str, float]:
    """The error that each place adds when it alone is INT8.

    Maps and scores count alike: the mean square of their change, each relative to the spread of the float32
    graph's own over the images.

    Args:
        simulation: of the graph; no place is in use afterwards.
        places: to be measured.
        images: uint8 N x S x S x 3, with damage.
        progress: called with the places done and their number.

    Returns:
        a number of 0 or more by the name of the place.
    """
    predict = simulation.predictor()
    simulation.use(())
    maps, scores = predict_all(predict, images)
    of_maps, of_scores = max(float(maps.std()), 1e-9), max(float(scores.std()), 1e-9)
    found: dict[str, float] = {}
    for index, place in enumerate(places):
        simulation.use((place.name,))
        changed_maps, changed_scores = predict_all(predict, images)
        found[place.name] = float(
            np.mean(((changed_maps - maps) / of_maps) ** 2)
            + np.mean(((changed_scores - scores) / of_scores) ** 2)
        )
        progress(index + 1, len(places))
    simulation.use(())
    return found


def worst_first(error: Mapping[str, float], work: Mapping[str, int]) -> list[str]:
    """The places in the order in which they go back to half: most error per multiply-add first.

    Args:
        error: of each place.
        work: multiply-adds of each place.
    """
    return sorted(error, key=lambda name: error[name] / max(work[name], 1), reverse=True)
