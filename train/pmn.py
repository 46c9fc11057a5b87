"""Pyramid Modeling Network (paper, PMN): multi-scale fusion of one branch's features over the four stages.

The inner path goes from the stages where the branch decouples well to those where it does not; the outer
path comes back. Normality: inner top-down (stage 4 to 1), outer bottom-up. Abnormality: the reverse.
The paper does not give the layers. Here a path begins with its first stage's features as they are, as in
PANet, and a step of it is: project the neighbor to this stage's channels, resample, add it to the stage's
own features, then a 3 x 3 convolution with BatchNorm and ReLU. The last path ends without ReLU, because a
teacher's features may be negative. With ``residual`` the convolution's result is added to the stage's own
features and starts at zero, so that training starts from the teacher and learns the difference. The
projection is a 1 x 1 convolution at the lower resolution of the two (exact: it commutes with bilinear
upsampling).
"""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from dmdd_edge.train.config import PmnConv, PmnPaths


def conv3x3(channels: int, kind: PmnConv, stride: int = 1) -> nn.Sequential:
    """A 3 x 3 convolution with BatchNorm: dense, depthwise, or depthwise followed by 1 x 1 (separable)."""
    groups = 1 if kind == "dense" else channels
    layers: list[nn.Module] = [
        nn.Conv2d(channels, channels, 3, stride, 1, groups=groups, bias=False),
        nn.BatchNorm2d(channels),
    ]
    if kind == "separable":
        layers += [nn.Conv2d(channels, channels, 1, bias=False), nn.BatchNorm2d(channels)]
    return nn.Sequential(*layers)


def _at_stage(kind: PmnConv, stage: int) -> PmnConv:
    """What ``mixed`` is at a stage, counted from 0."""
    if kind != "mixed":
        return kind
    return "depthwise" if stage < 2 else "separable"


class Downward(nn.Module):
    """From a coarse stage to the next finer one: 1 x 1 convolution, then bilinear upsampling."""

    def __init__(self, coarse: int, fine: int) -> None:
        super().__init__()
        self.project = nn.Sequential(nn.Conv2d(coarse, fine, 1, bias=False), nn.BatchNorm2d(fine))

    def forward(self, coarse: Tensor, like: Tensor) -> Tensor:
        """Coarse N x C x h x w to the channels and size of ``like``."""
        return F.interpolate(self.project(coarse), size=like.shape[-2:], mode="bilinear", align_corners=False)


class Upward(nn.Module):
    """From a fine stage to the next coarser one: 3 x 3 convolution of stride 2, then 1 x 1."""

    def __init__(self, fine: int, coarse: int, kind: PmnConv) -> None:
        super().__init__()
        if kind == "dense":
            self.project = nn.Sequential(
                nn.Conv2d(fine, coarse, 3, 2, 1, bias=False),
                nn.BatchNorm2d(coarse),
            )
        else:
            self.project = nn.Sequential(
                nn.Conv2d(fine, fine, 3, 2, 1, groups=fine, bias=False),
                nn.BatchNorm2d(fine),
                nn.Conv2d(fine, coarse, 1, bias=False),
                nn.BatchNorm2d(coarse),
            )

    def forward(self, fine: Tensor, like: Tensor) -> Tensor:
        """Fine N x C x H x W to the channels and half the size, which is that of ``like``."""
        return self.project(fine)


class Path(nn.Module):
    """One path through the four stages, top-down (4 to 1) or bottom-up (1 to 4).

    Args:
        channels: channels of the four stages.
        direction: which way it goes.
        kind: of the 3 x 3 convolutions; see ``ModelConfig.pmn_conv``.
        residual: add to the stage's own features, with nothing to add at the start.
        last: the path's output is the branch's: it ends without ReLU.
    """

    def __init__(
        self,
        channels: list[int],
        direction: Literal["top-down", "bottom-up"],
        kind: PmnConv,
        *,
        residual: bool,
        last: bool,
    ) -> None:
        super().__init__()
        self.residual, self.last = residual, last
        stages = range(len(channels))
        self.order = list(reversed(stages)) if direction == "top-down" else list(stages)
        steps: list[nn.Module] = []
        for source, target in zip(self.order, self.order[1:], strict=False):
            down = source > target
            steps.append(
                Downward(channels[source], channels[target])
                if down
                else Upward(channels[source], channels[target], kind)
            )
        self.steps = nn.ModuleList(steps)
        refine = [conv3x3(channels[stage], _at_stage(kind, stage)) for stage in self.order[1:]]
        if residual:
            for layers in refine:
                norm = layers[-1]
                assert isinstance(norm, nn.BatchNorm2d)
                nn.init.zeros_(norm.weight)
        self.refine = nn.ModuleList(refine)

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Four features, finest first, to four of the same shapes."""
        out = list(features)
        previous = features[self.order[0]]
        for stage, step, refine in zip(self.order[1:], self.steps, self.refine, strict=True):
            own = features[stage]
            fused = own + step(previous, own)
            if self.residual:
                previous = own + refine(F.relu(fused))
            else:
                previous = refine(fused) if self.last else F.relu(refine(fused))
            out[stage] = previous
        return out


class PyramidModelingNetwork(nn.Module):
    """The fusion of one branch.

    Args:
        channels: channels of the four stages.
        branch: ``normality`` or ``abnormality``; decides the directions.
        paths: ``none``, ``inner`` or ``full`` (inner and outer).
        kind: of the 3 x 3 convolutions; see ``ModelConfig.pmn_conv``.
        residual: see ``Path``.
    """

    def __init__(
        self,
        channels: list[int],
        branch: Literal["normality", "abnormality"],
        paths: PmnPaths,
        kind: PmnConv,
        *,
        residual: bool,
    ) -> None:
        super().__init__()
        inner: Literal["top-down", "bottom-up"] = "top-down" if branch == "normality" else "bottom-up"
        outer: Literal["top-down", "bottom-up"] = "bottom-up" if branch == "normality" else "top-down"
        chosen = {"none": [], "inner": [inner], "full": [inner, outer]}[paths]
        self.paths = nn.ModuleList(
            Path(channels, direction, kind, residual=residual, last=direction == chosen[-1])
            for direction in chosen
        )

    def forward(self, features: list[Tensor]) -> list[Tensor]:
        """Four features, finest first, to four of the same shapes."""
        for path in self.paths:
            features = path(features)
        return features
