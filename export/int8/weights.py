"""INT8 weights: one scale per output channel, rounded so that what a filter responds with is kept.

Filters larger than 1 x 1 keep their sum, for the same reason as in half precision (see ``export.half``): most
of an image is smooth, and there a filter responds with the sum of its weights. A filter of 1 x 1 keeps its
response to what its inputs vary by, as far as the grid allows (GPTQ, Frantar et al., 2022); its response to
their mean is kept by the bias.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

#: The largest magnitude of a symmetric INT8 number; -128 is not used.
LARGEST = 127
#: The smallest step, which half precision has to 3 %. A channel of smaller weights is nothing.
SMALLEST_STEP = 2.0**-20


def channel_scales(weight: Tensor) -> Tensor:
    """The step of the weights of each output channel, float32 C_out, a number that half precision has.

    It is 1 where the weights are too small for a step, so that they become 0.
    """
    steps = (weight.detach().flatten(1).abs().amax(1) / LARGEST).half().float()
    return torch.where(steps >= SMALLEST_STEP, steps, torch.ones_like(steps))


def rounded(weight: Tensor) -> Tensor:
    """Weights on the grid of their channel's step.

    Filters larger than 1 x 1 keep their sum: the error of each weight is carried over to the next smaller one
    of its filter. The largest weight of a channel is 127 steps, so that the step can be found again.

    Args:
        weight: float32 C_out x C_in x h x w.

    Returns:
        float32 of the same shape.
    """
    scales = channel_scales(weight)[:, None]
    filters = weight.detach().flatten(2)
    if filters.shape[2] == 1:
        steps = (filters[..., 0] / scales).round().clamp(-LARGEST, LARGEST)
        return (steps * scales).view(weight.shape)
    steps = (filters / scales[..., None]).flatten(0, 1).double()
    result = torch.empty_like(steps)
    carried = torch.zeros(len(steps), 1, dtype=torch.float64)
    for index in steps.abs().argsort(1, descending=True).split(1, 1):
        wanted = steps.gather(1, index) + carried
        nearest = wanted.round().clamp(-LARGEST, LARGEST)
        result.scatter_(1, index, nearest)
        carried = wanted - nearest
    return (result.view(filters.shape).to(weight.dtype) * scales[..., None]).view(weight.shape)


#: Added to the variances, as a share of their mean: few images leave directions without any input.
_DAMPING = 0.01


def fitted(weight: Tensor, covariance: Tensor) -> Tensor:
    """Weights of 1 x 1 filters on the grid of their channel's step, rounded for their inputs.

    Channel after channel, the error of a weight is made up for by those that are not rounded yet, so that the
    response to the inputs changes least. The largest weight of a channel is 127 steps, as in ``rounded``.

    Args:
        weight: float32 C_out x C_in x 1 x 1.
        covariance: of the input channels, float64 C_in x C_in.

    Returns:
        float32 of the same shape.
    """
    scales = channel_scales(weight)
    left = weight.detach().flatten(1) / scales[:, None]
    largest = left.abs().argmax(1)
    mean = covariance.diagonal().mean().clamp(min=1e-12)
    damped = covariance + _DAMPING * mean * torch.eye(len(covariance), dtype=torch.float64)
    order = damped.diagonal().argsort(descending=True)
    inverse = torch.linalg.inv(damped[order][:, order])
    factor = torch.linalg.cholesky((inverse + inverse.T) / 2, upper=True).to(left.dtype)
    top = left.gather(1, largest[:, None])[:, 0].sign() * LARGEST
    left, result = left[:, order], torch.empty_like(left)
    for index, channel in enumerate(order.tolist()):
        wanted = left[:, index]
        steps = torch.where(largest == channel, top, wanted.round().clamp(-LARGEST, LARGEST))
        result[:, channel] = steps
        error = (wanted - steps) / factor[index, index]
        left[:, index + 1 :] -= error[:, None] * factor[index, index + 1 :]
    return (result * scales[:, None]).view(weight.shape)


def on_grid(x: Tensor, step: float) -> Tensor:
    """Values as INT8 with this step keeps them: rounded to it, and clipped to 127 steps."""
    return (x / step).round_().clamp_(-LARGEST, LARGEST).mul_(step)


def times_channels(layer: nn.Conv2d, weight: Tensor, factors: Tensor) -> Tensor:
    """A convolution's weights times a factor for each channel that they read; not for grouped ones."""
    return weight * (factors[:, None, None, None] if layer.groups > 1 else factors[None, :, None, None])
