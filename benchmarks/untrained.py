"""Untrained models whose graphs are timed; time does not depend on the training.

Weights are random unless the backbone's come with an installed package. The student's differ from the
teacher's, so that no optimizer can merge the two, and all numbers stay in range.
"""

from __future__ import annotations

import contextlib

import torch
from torch import Tensor, nn

from dmdd_edge.errors import DmddError
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.model import DMDD


def build(backbone: str, size: int) -> tuple[DMDD, str]:
    """Build a model to measure; returns it and the origin of its weights."""
    torch.manual_seed(0)
    config = ModelConfig(backbone=backbone, image_size=size)
    model, origin = DMDD(config, pretrained=False), "random"
    if backbone == "efficientnet_lite0":
        with contextlib.suppress(DmddError):
            model, origin = DMDD(config), "pretrained"
    with torch.no_grad():
        for weight in model.student.parameters():
            weight.add_(0.05 * weight.abs().mean() * torch.randn_like(weight))
        for network in (model.teacher, model.student) if origin == "random" else (model.student,):
            settle(network, model.normalize(torch.randint(0, 256, (2, 3, size, size), dtype=torch.uint8)))
    return model.eval(), origin


def settle(network: nn.Module, x: Tensor) -> None:
    """Set BatchNorm's statistics from an input, so that no layer's output grows out of range."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.reset_running_stats()
            module.momentum = None  # plain average over the following inputs
    network.train()
    network(x)
