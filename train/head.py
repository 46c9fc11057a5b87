"""From the distance maps to the anomaly map and the score: the plain sum, and the paper's MSN.

The Multi-perception Segmentation Network (MSN) has Pyramid Upsampling (PU) and the Multi-perception
Mechanism (MM). Both can be switched off, as in the paper's ablation.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmdd_edge.train.config import ModelConfig

_STAGES = 4
#: Start of the head's logits: sigmoid(SCALE * mean distance + BIAS). A distance of 0.3 is the middle.
_SCALE, _BIAS = 10.0, -3.0


def anomaly_score(maps: Tensor, top_k: int) -> Tensor:
    """Mean of the ``top_k`` largest values of each map (paper, S).

    Args:
        maps: N x S x S, 0..1.
        top_k: count of values.

    Returns:
        N, 0..1.
    """
    return maps.flatten(1).topk(top_k, dim=1, sorted=False).values.mean(1)


def _zero(*layers: nn.Conv2d | nn.Linear) -> None:
    for layer in layers:
        nn.init.zeros_(layer.weight)
        if layer.bias is not None:
            nn.init.zeros_(layer.bias)


class GaussianSmoothing(nn.Module):
    """A Gaussian filter of fixed width over N x C x H x W, with edges replicated.

    Args:
        sigma: width in pixels of the tensor it is applied to; 0 passes through.
    """

    weights: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.radius = int(3.0 * sigma + 0.5)
        offsets = torch.arange(-self.radius, self.radius + 1, dtype=torch.float32)
        weights = torch.exp(-0.5 * (offsets / max(sigma, 1e-6)) ** 2)
        self.register_buffer("weights", weights / weights.sum(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        if self.radius == 0:
            return x
        r, n, c = self.radius, x.shape[0], x.shape[1]
        x = F.pad(x, (r, r, r, r), mode="replicate")
        x = x.reshape(n * c, 1, *x.shape[-2:]) if c > 1 else x
        x = F.conv2d(x, self.weights.view(1, 1, 1, -1))
        x = F.conv2d(x, self.weights.view(1, 1, -1, 1))
        return x.reshape(n, c, *x.shape[-2:])


class PyramidUpsampling(nn.Module):
    """Fusion over the four one-channel maps of a branch (paper, PU).

    Top-down for the normality branch, bottom-up for the abnormality branch. Each step adds the neighbour's
    map, resampled, through a 3 x 3 convolution. It starts as the identity: maps pass unchanged until trained.

    Args:
        top_down: direction.
    """

    def __init__(self, top_down: bool) -> None:
        super().__init__()
        self.order = list(reversed(range(_STAGES))) if top_down else list(range(_STAGES))
        own = [nn.Conv2d(1, 1, 3, 1, 1) for _ in range(_STAGES)]
        neighbour = [nn.Conv2d(1, 1, 3, 1, 1) for _ in range(_STAGES - 1)]
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


class SumHead(nn.Module):
    """The paper's row without MSN: distance maps upsampled and added, scaled to 0..1; nothing is learned."""

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.size = config.image_size // config.head_stride

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Four or eight maps N x H_i x W_i, 0..2, to N x 1 x s x s, 0..1; s is input size / head_stride."""
        return _upsample_sum(maps, self.size) / (2.0 * len(maps))


def _upsample_sum(maps: list[Tensor], size: int) -> Tensor:
    """Sum of the maps at full size. Maps of one stage are added first: resampling is linear."""
    by_stage: dict[int, Tensor] = {}
    for item in maps:
        side = item.shape[-1]
        by_stage[side] = by_stage[side] + item if side in by_stage else item
    total: Tensor | None = None
    for item in by_stage.values():
        full = F.interpolate(item[:, None], size=(size, size), mode="bilinear", align_corners=False)
        total = full if total is None else total + full
    assert total is not None
    return total


class SegmentationHead(nn.Module):
    """Multi-perception Segmentation Network (paper, MSN).

    Args:
        config: shape of the model; ``head_stride`` 1 applies attention at the input's size as in the paper,
            4 at the finest stage's size.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.inner_size = config.image_size // config.head_stride
        branches = ("normality", "abnormality") if config.branches == "both" else (config.branches,)
        self.fusion = nn.ModuleList(
            PyramidUpsampling(top_down=branch == "normality") if config.pyramid_upsampling else nn.Identity()
            for branch in branches
        )
        channels = _STAGES * len(branches)
        self.perception = MultiPerception(channels, self.inner_size) if config.multi_perception else None
        self.scale = nn.Parameter(torch.tensor(_SCALE))
        self.bias = nn.Parameter(torch.tensor(_BIAS))

    def forward(self, maps: list[Tensor]) -> Tensor:
        """Four or eight maps N x H_i x W_i, 0..2, to logits N x 1 x s x s; s is input size / head_stride."""
        fused: list[Tensor] = []
        for branch, fusion in enumerate(self.fusion):
            own = [item[:, None] for item in maps[_STAGES * branch : _STAGES * (branch + 1)]]
            fused += fusion(own)
        size = (self.inner_size, self.inner_size)
        stacked = torch.cat(
            [F.interpolate(item, size=size, mode="bilinear", align_corners=False) for item in fused], dim=1
        )
        mean = stacked.mean(1, keepdim=True) if self.perception is None else self.perception(stacked)
        return self.scale * mean + self.bias
