"""The parts of the paper's segmentation network: Pyramid Upsampling (PU), Multi-perception Mechanism (MM)."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Stages of a backbone, and so distance maps per branch.
STAGES = 4


def _zero(*layers: nn.Conv2d | nn.Linear) -> None:
    for layer in layers:
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class PyramidUpsampling(nn.Module):
    """Fusion over the four one-channel maps of a branch (paper, PU).

    Top-down for the normality branch, bottom-up for the abnormality branch. Each step adds the neighboring
    map, resampled, through a 3 x 3 convolution. It starts as the identity: maps pass unchanged until trained.

    Args:
        top_down: direction.
    """

    def __init__(self, top_down: bool) -> None:
        super().__init__()
        self.order = list(reversed(range(STAGES))) if top_down else list(range(STAGES))
        own = [nn.Conv2d(1, 1, 3, 1, 1) for _ in range(STAGES)]
        neighbour = [nn.Conv2d(1, 1, 3, 1, 1) for _ in range(STAGES - 1)]
        _zero(*own, *neighbour)
        with torch.no_grad():
            for layer in own:
                layer.weight[0, 0, 1, 1] = 1.0
        self.own, self.neighbour = nn.ModuleList(own), nn.ModuleList(neighbour)

    def forward(self, maps: list[Tensor]) -> list[Tensor]:
        """Four maps N x 1 x H_i x W_i, finest first, to four of the same shapes."""
        out = list(maps)
        previous: Tensor | None = None
        for position, stage in enumerate(self.order):
            fused = self.own[position](maps[stage])
            if previous is not None:
                fused = fused + self.neighbour[position - 1](_resample(previous, fused))
            out[stage] = previous = fused
        return out


def _resample(x: Tensor, like: Tensor) -> Tensor:
    if x.shape[-1] > like.shape[-1]:
        return F.avg_pool2d(x, x.shape[-1] // like.shape[-1])
    return F.interpolate(x, size=like.shape[-2:], mode="bilinear", align_corners=False)


class MultiPerception(nn.Module):
    """Channel, spatial and global attention over the stacked maps, then their weighted mean (paper, MM).

    Args:
        channels: count of maps.
        size: height and width at which attention is applied.
    """

    def __init__(self, channels: int, size: int) -> None:
        super().__init__()
        hidden, last = nn.Linear(channels, channels), nn.Linear(channels, channels)
        self.channel = nn.Sequential(hidden, nn.ReLU(), last)
        self.spatial = nn.Conv2d(2, 1, 7, 1, 3)
        self.weights = nn.Parameter(torch.zeros(1, channels, size, size))
        # Attention starts neutral (2 * sigmoid(0) = 1), so the untrained head is the plain mean.
        _zero(last, self.spatial)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the weighted mean N x 1 x H x W."""
        pooled = self.channel(x.mean((2, 3))) + self.channel(x.amax((2, 3)))
        x = x * (2.0 * torch.sigmoid(pooled))[:, :, None, None]
        summary = torch.cat([x.amax(1, keepdim=True), x.mean(1, keepdim=True)], dim=1)
        x = x * (2.0 * torch.sigmoid(self.spatial(summary)))
        return (x * torch.softmax(self.weights, dim=1)).sum(1, keepdim=True)
