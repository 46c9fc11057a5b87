"""How the inputs of the convolutions become INT8: the step of each place, and its channels made alike.

Ranges come from good images and from damage made on them: those of good images alone clip what a defect
excites, which is what the detector looks for. Teacher and student have the same at the same place: their
difference is the signal, and equal rounding of nearly equal values cancels in it.

An input has one step for all channels, so one strong channel makes the others coarse: in the last stage of a
backbone by 10 dB. There each channel is divided by a number before it is rounded, and the weights that read
it are multiplied by it (as in SmoothQuant). The divisors are a power of what a channel reaches; which power,
and whether any, is what the output's error decides.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.data.spread import spread
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.places import Place, convolution
from dmdd_edge.export.int8.weights import LARGEST, computed, on_grid, rounded, times_channels

_BATCH = 4
#: The powers that are tried. Dividing costs an operation, so it has to take this share off the error.
_POWERS, _WORTH = (0.5, 0.75, 1.0), 0.3


@dataclass(frozen=True)
class Input:
    """How the input of a place becomes INT8.

    Attributes:
        step: of the numbers, above 0.
        divisors: what each channel is divided by before, float32 C; None for nothing.
    """

    step: float
    divisors: Tensor | None = None

    def round(self, x: Tensor) -> Tensor:
        """An input N x C x H x W as INT8 keeps it."""
        if self.divisors is None:
            return on_grid(x, self.step)
        shape = self.divisors[:, None, None]
        return on_grid(x / shape, self.step) * shape

    def weights(self, layer: nn.Conv2d, weight: Tensor) -> Tensor:
        """The weights of a convolution that reads the input, as INT8 keeps them."""
        if self.divisors is None:
            return rounded(weight)
        scaled = rounded(times_channels(layer, weight, self.divisors))
        return times_channels(layer, scaled, 1.0 / self.divisors)


def inputs_of(graph: DeploymentGraph, places: Sequence[Place], images: NDArray[np.uint8]) -> dict[str, Input]:
    """How the input of each place becomes INT8.

    Args:
        graph: in float32.
        places: of the convolutions.
        images: uint8 N x S x S x 3: good ones, and some with damage.

    Returns:
        by the name of the place.
    """
    largest: dict[str, Tensor] = {}

    def reach(name: str, layer: nn.Conv2d, x: Tensor, y: Tensor) -> None:
        reached = x.abs().amax((0, 2, 3))
        largest[name] = torch.maximum(largest[name], reached) if name in largest else reached

    _watch(graph, places, images, reach)
    choices = {place.name: _choices(graph, place, largest[place.name]) for place in places}
    error = {name: [0.0] * len(options) for name, options in choices.items()}

    def compare(name: str, layer: nn.Conv2d, x: Tensor, y: Tensor) -> None:
        for index, option in enumerate(choices[name]):
            coarse = computed(layer, option.round(x), option.weights(layer, layer.weight))
            error[name][index] += float(((coarse - y) ** 2).sum())

    some = images[spread(len(images), 2 * _BATCH)]
    _watch(graph, [place for place in places if len(choices[place.name]) > 1], some, compare)
    return {name: _best(options, error[name]) for name, options in choices.items()}


def _choices(graph: DeploymentGraph, place: Place, largest: Tensor) -> list[Input]:
    plain = Input(max(float(largest.max()), 1e-6) / LARGEST)
    layers = [convolution(graph, name) for name in place.convolutions]
    if layers[0].groups not in (1, layers[0].in_channels) or largest.max() < 2 * largest.median():
        return [plain]
    options = [plain]
    for power in _POWERS:
        divisors = (largest / largest.max()).clamp(min=2.0**-6) ** power
        divisors = 1.0 / (1.0 / divisors).half().float()  # what is multiplied by has half precision
        options.append(Input(max(float((largest / divisors).max()), 1e-6) / LARGEST, divisors))
    return options


def _best(options: Sequence[Input], error: Sequence[float]) -> Input:
    best = min(range(len(options)), key=lambda index: error[index])
    return options[best] if error[best] <= (1 - _WORTH) * error[0] else options[0]


def _watch(
    graph: DeploymentGraph,
    places: Sequence[Place],
    images: NDArray[np.uint8],
    see: Callable[[str, nn.Conv2d, Tensor, Tensor], None],
) -> None:
    """Run the graph, and show each place's convolutions with their inputs and outputs."""

    def seen(name: str) -> Callable[..., None]:
        return lambda layer, inputs, output: see(name, layer, inputs[0], output)

    hooks = {name: seen(place.name) for place in places for name in place.convolutions}
    with hooked(graph, hooks), torch.inference_mode():
        for start in range(0, len(images), _BATCH):
            graph(torch.from_numpy(images[start : start + _BATCH]))


@contextmanager
def hooked(graph: nn.Module, hooks: Mapping[str, Callable[..., Any]]) -> Iterator[None]:
    """Call a function after each of some modules, by their names: with the module, its inputs, its output."""
    handles = [graph.get_submodule(name).register_forward_hook(hook) for name, hook in hooks.items()]
    try:
        yield
    finally:
        for handle in handles:
            handle.remove()
