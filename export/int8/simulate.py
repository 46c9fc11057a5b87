"""A float32 graph in which chosen convolutions are computed as INT8 would compute them.

Inputs and weights are rounded to the grid of their steps; products and sums stay float32. That equals INT8
arithmetic with 32-bit sums up to float32's rounding, and a place is switched on or off at once.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.places import Place, convolution
from dmdd_edge.export.int8.ranges import Input


class Simulation:
    """See the module.

    Args:
        graph: in float32; its convolutions' weights are exchanged while a place is in use.
        places: that may be used.
        inputs: how the input of each place becomes INT8, by its name.

    Attributes:
        used: the places in use.
    """

    def __init__(
        self,
        graph: DeploymentGraph,
        places: Sequence[Place],
        inputs: Mapping[str, Input],
    ) -> None:
        self.graph = graph
        self.used: frozenset[str] = frozenset()
        self._inputs = dict(inputs)
        self._layers: list[tuple[str, nn.Conv2d, Tensor, Tensor]] = []
        for place in places:
            how = inputs[place.name]
            for name in place.convolutions:
                layer = convolution(graph, name)
                exact = layer.weight.detach().clone()
                self._layers.append((place.name, layer, exact, how.weights(layer, exact)))
                layer.register_forward_pre_hook(self._hook(place.name))

    def use(self, names: Collection[str]) -> None:
        """Compute the places with these names as INT8, and all others in float32."""
        self.used = frozenset(names)
        with torch.no_grad():
            for name, layer, exact, coarse in self._layers:
                layer.weight.copy_(coarse if name in self.used else exact)

    def predictor(self) -> Predictor:
        """The graph as it is now, as a predictor of prepared images."""

        def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            with torch.inference_mode():
                maps, scores = self.graph(torch.from_numpy(images))
            return maps.numpy(), scores.numpy()

        return predict

    def _hook(self, name: str) -> Callable[..., Any]:
        def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            return (self._inputs[name].round(inputs[0]),) if name in self.used else None

        return before
