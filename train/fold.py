"""BatchNorm folded into the convolution before it, in float32: same values, fewer operations."""

from __future__ import annotations

import copy
from itertools import pairwise
from typing import TypeVar

import torch
from torch import nn

M = TypeVar("M", bound=nn.Module)


@torch.no_grad()
def fold_batchnorm(module: M) -> M:
    """A copy of a module in evaluation mode with every BatchNorm that follows a convolution folded into it.

    A BatchNorm counts as following when it is registered right behind the convolution, or a sequence that
    ends in one, in the same parent, which holds for torchvision's and timm's convolutional networks; the
    caller can compare outputs.

    Args:
        module: any module.

    Returns:
        the copy; its outputs differ from the original's in evaluation mode by rounding only.
    """
    folded = copy.deepcopy(module).eval()
    for parent in folded.modules():
        children = list(parent.named_children())
        for (_, before), (name, norm) in pairwise(children):
            conv = _last_layer(before)
            if not isinstance(conv, nn.Conv2d) or not isinstance(norm, nn.BatchNorm2d):
                continue
            if conv.out_channels != norm.num_features or norm.running_var is None:
                continue
            _fold(conv, norm)
            setattr(parent, name, _what_is_left(norm))
    return folded


def _last_layer(module: nn.Module) -> nn.Module:
    """What a sequence ends in; deep stems are such."""
    while isinstance(module, nn.Sequential) and len(module) > 0:
        module = module[-1]
    return module


def _fold(conv: nn.Conv2d, norm: nn.BatchNorm2d) -> None:
    mean, var = norm.running_mean, norm.running_var
    assert mean is not None
    assert var is not None
    gain = torch.rsqrt(var.double() + norm.eps)
    shift = -mean.double() * gain
    if norm.affine:
        gain = gain * norm.weight.double()
        shift = shift * norm.weight.double() + norm.bias.double()
    bias = (
        torch.zeros(conv.out_channels, dtype=torch.float64, device=gain.device)
        if conv.bias is None
        else conv.bias
    )
    conv.weight.copy_((conv.weight.double() * gain[:, None, None, None]).float())
    conv.bias = nn.Parameter((bias.double() * gain + shift).float(), requires_grad=conv.weight.requires_grad)


def _what_is_left(norm: nn.BatchNorm2d) -> nn.Module:
    """The activation that timm keeps inside its norm layers; nothing for a plain BatchNorm."""
    activation = getattr(norm, "act", None)
    return activation if isinstance(activation, nn.Module) else nn.Identity()
