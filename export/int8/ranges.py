"""How the inputs of the convolutions become INT8: the step of each place, and its channels made alike.

Ranges come from good images and from damage made on them: those of good images alone clip what a defect
excites, which is what the detector looks for. Teacher and student have the same at the same place: their
difference is the signal, and equal rounding of nearly equal values cancels in it.

An input has one step for all channels and is symmetric, so a strong channel makes the others coarse, and one
that is never negative wastes half of the numbers. A leveled input has each channel's center subtracted, and
is divided by what is left of its range; the weights that read it are multiplied by the divisors (as in
SmoothQuant), and the bias gets what the centers add. That costs an operation, so it is for the places that
need it; see ``choice``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.int8.places import Place, convolution
from dmdd_edge.export.int8.weights import LARGEST, fitted, on_grid, rounded, times_channels
from dmdd_edge.train.moments import Moments

_BATCH = 4
#: Rows of an input from which on every second pixel of a row, and every second row, is enough.
_LARGE = 32
#: The smallest divisor, relative to the largest: weights must not vanish beside others.
_SMALLEST = 2.0**-6


@dataclass(frozen=True)
class Input:
    """How the input of a place becomes INT8.

    Attributes:
        step: of the numbers, above 0.
        divisors: what each channel is divided by before, float32 C; None for nothing.
        centers: what is subtracted from each channel before that, float32 C; None for nothing.
        fits: weights on their grid by the name of the convolution, for divided channels; those of the others
            are rounded without regard to the input.
        means: of each channel, float32 C, by the name of the convolution, of those that ``fits`` has.
    """

    step: float
    divisors: Tensor | None = None
    centers: Tensor | None = None
    fits: Mapping[str, Tensor] = field(default_factory=dict)
    means: Mapping[str, Tensor] = field(default_factory=dict)

    def round(self, x: Tensor) -> Tensor:
        """An input N x C x H x W as INT8 keeps it."""
        if self.centers is not None:
            x = x - self.centers[:, None, None]
        if self.divisors is None:
            x = on_grid(x, self.step)
        else:
            shape = self.divisors[:, None, None]
            x = on_grid(x / shape, self.step) * shape
        return x if self.centers is None else x + self.centers[:, None, None]

    def steps(self, name: str, layer: nn.Conv2d) -> Tensor:
        """The weights of a convolution on their grid, as they are multiplied with divided channels."""
        if name in self.fits:
            return self.fits[name]
        if self.divisors is None:
            return rounded(layer.weight)
        return rounded(times_channels(layer, layer.weight, self.divisors))

    def weights(self, name: str, layer: nn.Conv2d) -> Tensor:
        """The weights of a convolution as INT8 keeps them, for channels that are not divided."""
        steps = self.steps(name, layer)
        return steps if self.divisors is None else times_channels(layer, steps, 1.0 / self.divisors)

    def bias(self, name: str, layer: nn.Conv2d) -> Tensor | None:
        """The bias of a convolution that goes with ``weights``: it makes up for them at the mean input."""
        if layer.bias is None or name not in self.means:
            return layer.bias
        error = layer.weight - self.weights(name, layer)
        return layer.bias + error.flatten(1) @ self.means[name]


@dataclass(frozen=True)
class Inputs:
    """The two ways in which the input of a place may become INT8.

    Attributes:
        plain: without a further operation.
        leveled: makes the one with its channels made alike; None where that cannot be.
    """

    plain: Input
    leveled: Callable[[], Input] | None = None


def inputs_of(
    graph: DeploymentGraph, places: Sequence[Place], images: NDArray[np.uint8]
) -> dict[str, Inputs]:
    """How the input of each place becomes INT8.

    Args:
        graph: in float32.
        places: of the convolutions.
        images: uint8 N x S x S x 3: good ones, and some with damage.

    Returns:
        by the name of the place.
    """
    low: dict[str, Tensor] = {}
    high: dict[str, Tensor] = {}
    moments: dict[str, Moments] = {}

    def see(place: str, name: str, layer: nn.Conv2d, x: Tensor) -> None:
        least, most = x.amin((0, 2, 3)), x.amax((0, 2, 3))
        low[place] = torch.minimum(low[place], least) if place in low else least
        high[place] = torch.maximum(high[place], most) if place in high else most
        if is_pointwise(layer):
            apart = 2 if x.shape[2] >= _LARGE else 1
            moments.setdefault(name, Moments()).add(x[:, :, ::apart, ::apart])

    _watch(graph, places, images, see)
    return {place.name: _ways(graph, place, low[place.name], high[place.name], moments) for place in places}


def is_pointwise(layer: nn.Conv2d) -> bool:
    """Whether each output pixel of a convolution is a sum over the channels of one pixel, at no border."""
    return layer.kernel_size == (1, 1) and layer.groups == 1 and layer.padding in (0, (0, 0))


def _ways(
    graph: DeploymentGraph, place: Place, low: Tensor, high: Tensor, moments: Mapping[str, Moments]
) -> Inputs:
    layers = {name: convolution(graph, name) for name in place.convolutions}
    step = _step(torch.maximum(low.abs(), high.abs()))
    plain = Input(step, None, None, *_fits(layers, moments))
    if all(layer.groups in (1, layer.in_channels) for layer in layers.values()):
        return Inputs(plain, lambda: _leveled(layers, low, high, moments))
    return Inputs(plain)


def _leveled(
    layers: Mapping[str, nn.Conv2d], low: Tensor, high: Tensor, moments: Mapping[str, Moments]
) -> Input:
    centers, reach = None, torch.maximum(low.abs(), high.abs())
    if all(is_pointwise(layer) and layer.bias is not None for layer in layers.values()):
        centers = ((low + high) / 2).half().float()
        reach = torch.maximum(high - centers, centers - low)
    divisors = (reach / reach.max().clamp(min=1e-6)).clamp(min=_SMALLEST)
    divisors = 1.0 / (1.0 / divisors).half().float()  # what is multiplied by has half precision
    return Input(_step(reach / divisors), divisors, centers, *_fits(layers, moments, divisors))


def _fits(
    layers: Mapping[str, nn.Conv2d], moments: Mapping[str, Moments], divisors: Tensor | None = None
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """Weights on their grid and means of the inputs, by the name of the convolution; see ``Input``."""
    fits = {}
    for name, layer in layers.items():
        if name not in moments:
            continue
        weight, covariance = layer.weight, moments[name].covariance()
        if divisors is not None:
            weight = times_channels(layer, weight, divisors)
            covariance = covariance / divisors / divisors[:, None]
        fits[name] = fitted(weight, covariance)
    return fits, {name: moments[name].mean().float() for name in fits}


def _step(reach: Tensor) -> float:
    return max(float(reach.max()), 1e-6) / LARGEST


def _watch(
    graph: DeploymentGraph,
    places: Sequence[Place],
    images: NDArray[np.uint8],
    see: Callable[[str, str, nn.Conv2d, Tensor], None],
) -> None:
    """Run the graph, and show the inputs of each place's convolutions, with their names."""

    def seen(place: str, name: str) -> Callable[..., None]:
        return lambda layer, inputs, output: see(place, name, layer, inputs[0])

    hooks = {name: seen(place.name, name) for place in places for name in place.convolutions}
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
