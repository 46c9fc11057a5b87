"""Weights in half precision, rounded so that the sum of each filter is kept.

Most of an image is smooth, and there a 3 x 3 filter responds with the sum of its weights. When each weight
is rounded separately, the errors add up: in the first depthwise layers of a teacher that shifts its features,
and with them every distance. Here the error of each weight is carried over to the next smaller one of its
filter, so that only the rounding error of the smallest remains in the sum.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


@torch.no_grad()
def to_half(network: nn.Module) -> None:
    """Convert a network to float16 weights; the sums of filters larger than 1 x 1 are kept.

    Args:
        network: in float32; changed in place.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d) and module.kernel_size != (1, 1):
            module.weight.copy_(rounded_keeping_sums(module.weight))
    network.to(torch.float16)


def rounded_keeping_sums(weight: Tensor) -> Tensor:
    """Round filters to values that float16 represents exactly, with nearly the same sum per filter.

    Args:
        weight: float32 ... x h x w; each h x w is a filter.

    Returns:
        float32 of the same shape. A sum differs by no more than the smallest weight's rounding; a weight by
        no more than the unit in the last place of the largest weight of its filter.
    """
    filters = weight.flatten(-2).flatten(0, -2).double()
    rounded = torch.empty_like(filters)
    carried = torch.zeros(len(filters), 1, dtype=torch.float64)
    for index in filters.abs().argsort(1, descending=True).split(1, 1):
        wanted = filters.gather(1, index) + carried
        nearest = wanted.float().half().double()
        rounded.scatter_(1, index, nearest)
        carried = wanted - nearest
    return rounded.view(weight.shape).to(weight.dtype)
