"""What a tiled category costs: time and memory an image, measured before the training."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch

from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.evaluation.tiled import TILE_BATCH
from dmdd_edge.train.features import to_input
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.tile_choice import usual_geometry

#: Batches whose fastest counts.
_TRIES = 2


def describe_tiles(
    preprocess: Preprocess, paths: Sequence[Path], size: int, model: DMDD, device: torch.device
) -> list[str]:
    """A line on the tiles of an image, and the time and memory that it takes.

    Args:
        preprocess: with a tiling.
        paths: the training images; their usual size counts.
        size: S, side of the network's input.
        model: on the device; not trained yet, which does not change its speed.
        device: that is measured.
    """
    geometry = usual_geometry(preprocess, paths, size)
    tiling = preprocess.tiling
    if geometry is None or tiling is None:
        return []
    layout = geometry.layout
    seconds = layout.count * seconds_per_tile(model, size, device)
    width, height = geometry.source[1], geometry.source[0]
    whole = " and the whole image" if layout.coarse else ""
    return [
        f"tiles of {tiling.tile} px, overlap {tiling.overlap} px: {len(layout.places)} tiles{whole} for an "
        f"image of {width} x {height} px; about {seconds:.2g} s an image with torch on this machine, and "
        f"{geometry.memory_mb:.0f} MiB for its pixels and maps"
    ]


@torch.no_grad()
def seconds_per_tile(model: DMDD, size: int, device: torch.device) -> float:
    """Seconds that the network takes for a tile, in batches; measured."""
    rng = np.random.default_rng(0)
    tiles = rng.integers(0, 256, (TILE_BATCH, size, size, 3), dtype=np.uint8)
    model.eval()
    times = []
    for _ in range(1 + _TRIES):  # the first one also allocates
        began = time.perf_counter()
        model(to_input(tiles, device)).scores.cpu()
        times.append(time.perf_counter() - began)
    return min(times[1:]) / len(tiles)
