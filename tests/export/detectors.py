"""Detectors as after a long training: every weight, statistic and head parameter away from its start."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.model import DMDD

TINY = "timm:test_efficientnet"


@torch.no_grad()
def detector(*, pretrained: bool = False, seed: int = 0, **values: Any) -> DMDD:
    """A detector of 64 pixels whose student differs from its teacher, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = DMDD(ModelConfig(**{"backbone": TINY, "image_size": 64, **values}), pretrained=pretrained)
        for parameter in model.student.parameters():
            parameter += 0.05 * parameter.abs().mean() * torch.randn_like(parameter)
        for module in model.student.modules():
            if isinstance(module, nn.BatchNorm2d):
                module.weight += 0.2 * torch.rand_like(module.weight)
                module.running_mean += 0.1 * module.running_var.sqrt() * torch.randn_like(module.running_mean)
                module.running_var *= 1.0 + 0.5 * torch.rand_like(module.running_var)
        for parameter in model.head.parameters():
            parameter += 0.1 * torch.randn_like(parameter)
    model.eval()
    if isinstance(model.head, ScaledHead):
        x = model.normalize(torch.from_numpy(random_images(6, seed=9)).permute(0, 3, 1, 2))
        if model.lengths is not None:
            model.lengths.fit([(model.teacher(x), model.student(x))])
        if model.density is not None:
            model.density.fit([model.teacher(x)])
        if model.prototypes is not None:
            model.prototypes.fit([model.teacher(x)])
        maps = model.distances(model.teacher(x), model.student(x))
        model.head.fit(model.head.peaks(model.head.stack(maps)))
        model.head.weigh((0.5, 1.0, 1.5, 0.0), 1.2, 0.4, 0.6)  # of the map, unlike the score's
        if model.prototypes is not None:
            model.head.weigh_score(0.3)
        model.head.join_score(model.head.chooses_joined)
    return model


def random_images(count: int, size: int = 64, seed: int = 0) -> NDArray[np.uint8]:
    """uint8 N x S x S x 3 with large and small structures."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(0, 200, (count, 4, 4, 3)).repeat(size // 4, 1).repeat(size // 4, 2)
    return (coarse + rng.integers(0, 56, (count, size, size, 3))).astype(np.uint8)
