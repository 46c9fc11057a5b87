"""What INT8 adds to every distance, taken off again.

A distance is a sum of squares, so the rounding of INT8 adds its own power to it: nearly the same everywhere
and in each image, and for a good part as much as the distance itself. Left in, it hides what is faint. The
mean over good images is known, and is subtracted before the head.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.export.graph import DeploymentGraph

_BATCH = 4


class Floors(nn.Module):
    """Island: distances less their floors, at least 0.

    Args:
        floors: of each stage, float32 K: of each of its maps.
    """

    def __init__(self, floors: Sequence[Tensor]) -> None:
        super().__init__()
        for index, floor in enumerate(floors):
            self.register_buffer(f"stage{index}", floor[:, None, None].clone())

    def forward(self, stages: list[Tensor]) -> list[Tensor]:
        """Of each stage N x K x H x W to the same."""
        return [(item - floor).clamp(min=0.0) for item, floor in zip(stages, self.buffers(), strict=True)]


def mean_distances(graph: DeploymentGraph, images: NDArray[np.uint8]) -> list[Tensor]:
    """The mean of each map over images and pixels, before floors are subtracted.

    Args:
        graph: whose floors are removed.
        images: uint8 N x S x S x 3.

    Returns:
        of each stage, float32 K.
    """
    graph.island_floors = None
    sums: list[Tensor] = []

    def see(head: nn.Module, inputs: tuple[list[Tensor]]) -> None:
        found = [item.mean((2, 3)).sum(0) for item in inputs[0]]
        sums[:] = [a + b for a, b in zip(sums, found, strict=True)] if sums else found

    handle = graph.island_head.register_forward_pre_hook(see)
    try:
        with torch.inference_mode():
            for start in range(0, len(images), _BATCH):
                graph(torch.from_numpy(images[start : start + _BATCH]))
    finally:
        handle.remove()
    return [total.clone() / len(images) for total in sums]
