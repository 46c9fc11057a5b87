"""Untrained models whose graphs are timed, and interleaved calls of their sessions.

Weights do not affect the time, as long as numbers stay in range.
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.errors import DmddError
from dmdd_edge.runtime.backends.onnxruntime_session import run_session
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.model import DMDD

#: Number of blocks that ``ratios`` divides a run into.
BLOCKS = 5


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


def take_turns(
    sessions: Mapping[str, Any], image: NDArray[np.uint8], warm_up: int, runs: int
) -> dict[str, list[float]]:
    """Milliseconds of each call, interleaved; the order alternates."""
    found: dict[str, list[float]] = {name: [] for name in sessions}
    for turn in range(warm_up + runs):
        names = list(sessions) if turn % 2 else list(reversed(sessions))
        for name in names:
            began = time.perf_counter()
            run_session(sessions[name], image)
            if turn >= warm_up:
                found[name].append(1e3 * (time.perf_counter() - began))
    return found


def ratios(fused: list[float], bare: list[float]) -> list[float]:
    """Ratio of the medians in each of a few blocks of the run, which shows how reliable it is."""
    cuts = np.linspace(0, len(fused), BLOCKS + 1).astype(int)
    return [statistics.median(fused[a:b]) / statistics.median(bare[a:b]) for a, b in pairwise(cuts)]
