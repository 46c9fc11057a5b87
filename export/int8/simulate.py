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
        graph: as given.
        inputs: as they are now.
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
        self.inputs = dict(inputs)
        self._places = {place.name: place for place in places}
        self._layers = {name: convolution(graph, name) for place in places for name in place.convolutions}
        self._exact = {name: _state(layer) for name, layer in self._layers.items()}
        for place in places:
            for name in place.convolutions:
                self._layers[name].register_forward_pre_hook(self._hook(place.name))

    def change(self, name: str, how: Input) -> None:
        """Let the input of a place, which is not in use, become INT8 in another way."""
        assert name not in self.used
        self.inputs[name] = how

    def use(self, names: Collection[str]) -> None:
        """Compute the places with these names as INT8, and all others in float32."""
        before, self.used = self.used, frozenset(names)
        for place in before - self.used:
            for name in self._places[place].convolutions:
                _set(self._layers[name], *self._exact[name])
        for place in self.used - before:
            how = self.inputs[place]
            for name in self._places[place].convolutions:
                layer = self._layers[name]
                _set(layer, how.weights(name, layer), how.bias(name, layer))

    def predictor(self) -> Predictor:
        """The graph as it is now, as a predictor of prepared images."""

        def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
            with torch.inference_mode():
                maps, scores = self.graph(torch.from_numpy(images))
            return maps.numpy(), scores.numpy()

        return predict

    def _hook(self, name: str) -> Callable[..., Any]:
        def before(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
            return (self.inputs[name].round(inputs[0]),) if name in self.used else None

        return before


def _state(layer: nn.Conv2d) -> tuple[Tensor, Tensor | None]:
    return layer.weight.clone(), None if layer.bias is None else layer.bias.clone()


@torch.no_grad()
def _set(layer: nn.Conv2d, weight: Tensor, bias: Tensor | None) -> None:
    layer.weight.copy_(weight)
    if layer.bias is not None and bias is not None:
        layer.bias.copy_(bias)
