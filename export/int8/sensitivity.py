"""How much each place adds to the error, measured alone; and the order in which places go back to half."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager

import numpy as np
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.evaluation.test_set import predict_all
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.places import NETWORKS, Place
from dmdd_edge.export.int8.simulate import Simulation


def errors(
    simulation: Simulation,
    places: Sequence[Place],
    images: NDArray[np.uint8],
    tell: Callable[[], None] = lambda: None,
) -> dict[str, float]:
    """The error that each place adds when it alone is INT8.

    Maps and scores count alike: the mean square of their change, each relative to the spread of the float32
    graph's own over the images. The stages before a place are computed once for all places.

    Args:
        simulation: of the graph; no place is in use afterwards.
        places: to be measured.
        images: uint8 N x S x S x 3, with damage.
        tell: called after each place.

    Returns:
        a number of 0 or more by the name of the place.
    """
    predict = simulation.predictor()
    simulation.use(())
    found: dict[str, float] = {}
    with kept_stages(simulation.graph) as begin:
        maps, scores = predict_all(predict, images)
        of_maps, of_scores = max(float(maps.std()), 1e-9), max(float(scores.std()), 1e-9)
        for place in places:
            simulation.use((place.name,))
            begin(place.stage)
            changed_maps, changed_scores = predict_all(predict, images)
            found[place.name] = float(
                np.mean(((changed_maps - maps) / of_maps) ** 2)
                + np.mean(((changed_scores - scores) / of_scores) ** 2)
            )
            tell()
    simulation.use(())
    return found


class _Kept(nn.Module):
    """A stage that keeps its outputs, batch by batch, and returns them in turn when it need not compute."""

    def __init__(self, stage: nn.Module) -> None:
        super().__init__()
        self.stage = stage
        self.outputs: list[Tensor] = []
        self.kept: Iterator[Tensor] | None = None
        self.keeps = True

    def forward(self, x: Tensor) -> Tensor:
        if self.kept is not None:
            return next(self.kept)
        output: Tensor = self.stage(x)
        if self.keeps:
            self.outputs.append(output)
        return output

    def begin(self, *, again: bool) -> None:
        """Begin a pass over the same images: compute again, or return what was kept."""
        self.keeps, self.kept = False, None if again else iter(self.outputs)


@contextmanager
def kept_stages(graph: DeploymentGraph) -> Iterator[Callable[[int], None]]:
    """Keep what the stages give to the images of the first pass.

    Yields:
        a function to call before each further pass over the same images, with the first stage that computes;
        those before it return what they kept.
    """
    stages = [graph.get_submodule(f"{name}.stages") for name in NETWORKS]
    lists = [own for own in stages if isinstance(own, nn.ModuleList)]
    kept = [(own, index, _Kept(stage)) for own in lists for index, stage in enumerate(own)]

    def begin(first: int) -> None:
        for _, index, stage in kept:
            stage.begin(again=index >= first)

    try:
        for own, index, stage in kept:
            own[index] = stage
        yield begin
    finally:
        for own, index, stage in kept:
            own[index] = stage.stage


def worst_first(error: Mapping[str, float], work: Mapping[str, int]) -> list[str]:
    """The places in the order in which they go back to half: most error per multiply-add first.

    Args:
        error: of each place.
        work: multiply-adds of each place.
    """
    return sorted(error, key=lambda name: error[name] / max(work[name], 1), reverse=True)
