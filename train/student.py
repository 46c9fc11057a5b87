"""The decoupled student (paper, decoupling): four stages whose features split into two branches."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from dmdd_edge.train.backbones import Backbone
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.pmn import PyramidModelingNetwork


class DecoupledStudent(nn.Module):
    """Backbone stages, a decoupling convolution after each, and a PMN on each branch in use.

    After stage i a 1 x 1 convolution widens C_i channels to 2 C_i; the first half is the normality feature
    and the next stage's input, the second half the abnormality feature.

    Args:
        backbone: the teacher's twin, which becomes the student's trunk.
        config: shape of the model.
    """

    def __init__(self, backbone: Backbone, config: ModelConfig) -> None:
        super().__init__()
        self.stages = backbone.stages
        decouple = [nn.Conv2d(c, 2 * c, 1) for c in backbone.channels]
        if config.residual:
            for layer in decouple:
                _start_as_identity(layer)
        self.decouple = nn.ModuleList(decouple)
        branches: tuple[Literal["normality", "abnormality"], ...] = ("normality", "abnormality")
        self.pmn = nn.ModuleDict(
            {
                branch: PyramidModelingNetwork(
                    backbone.channels, branch, config.pmn, config.pmn_conv, residual=config.residual
                )
                for branch in branches
                if config.branches in (branch, "both")
            }
        )

    def forward(self, x: Tensor) -> dict[str, list[Tensor]]:
        """Features of the branches in use.

        Args:
            x: float N x 3 x S x S, BGR, normalized.

        Returns:
            for each branch in use four tensors N x C_i x H_i x W_i, finest first.
        """
        features: dict[str, list[Tensor]] = {"normality": [], "abnormality": []}
        for stage, decouple in zip(self.stages, self.decouple, strict=True):
            x, abnormality = decouple(stage(x)).chunk(2, dim=1)
            features["normality"].append(x)
            features["abnormality"].append(abnormality)
        return {branch: pmn(features[branch]) for branch, pmn in self.pmn.items()}


@torch.no_grad()
def _start_as_identity(layer: nn.Conv2d) -> None:
    """Let both halves copy their input, so that the student starts as the teacher."""
    channels = layer.in_channels
    eye = torch.eye(channels)
    layer.weight.copy_(torch.cat([eye, eye])[:, :, None, None])
    assert layer.bias is not None
    layer.bias.zero_()
