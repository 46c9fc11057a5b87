"""The teacher's features of the normal images: cached in half precision, or computed on each use.

The normal images are never augmented, so their features never change (method, section 4). When they exceed
the memory budget, they are computed on request; the results agree to half precision.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.free_memory import free_memory_mb
from dmdd_edge.train.synthesis.feeder import PairBatch

_CHUNK = 16


def to_input(images: NDArray[np.uint8], device: torch.device) -> Tensor:
    """uint8 N x S x S x 3 BGR to a uint8 tensor N x 3 x S x S, channels_last, without a copy on the CPU."""
    return torch.from_numpy(images).to(device, non_blocking=True).permute(0, 3, 1, 2)


class TeacherFeatures:
    """The teacher's features of normal images, by index.

    Args:
        teacher: maps normalized images to four features; in evaluation mode.
        normalize: maps uint8 images to the teacher's input.
        images: uint8 n x S x S x 3 BGR.
        device: where the networks are.
        budget_mb: memory for the cache in MiB; None for half of what is free.
        progress: called with the number of images done.
    """

    def __init__(
        self,
        teacher: nn.Module,
        normalize: nn.Module,
        images: NDArray[np.uint8],
        device: torch.device,
        *,
        budget_mb: int | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> None:
        self.teacher, self.normalize, self.images, self.device = teacher, normalize, images, device
        first = self.compute(to_input(images[:1], device))
        self.needed_mb = sum(f.numel() for f in first) * 2 * len(images) / 2**20
        budget = free_memory_mb() / 2 if budget_mb is None else budget_mb
        self.cached: list[Tensor] | None = None
        if self.needed_mb > budget:
            return
        self.cached = [
            torch.empty((len(images), *f.shape[1:]), dtype=torch.float16, memory_format=torch.channels_last)
            for f in first
        ]
        for start in range(0, len(images), _CHUNK):
            computed = self.compute(to_input(images[start : start + _CHUNK], device))
            for store, feature in zip(self.cached, computed, strict=True):
                store[start : start + _CHUNK] = feature.to("cpu", torch.float16)
            if progress is not None:
                progress(min(start + _CHUNK, len(images)))

    @torch.no_grad()
    def compute(self, images: Tensor) -> list[Tensor]:
        """Features of uint8 images N x 3 x S x S."""
        return self.teacher(self.normalize(images))

    def of(self, index: NDArray[np.int64]) -> list[Tensor]:
        """Features of the normal images with these indices, float32 on the device."""
        if self.cached is None:
            return self.compute(to_input(self.images[index], self.device))
        chosen = torch.from_numpy(index)
        return [store[chosen].to(self.device, torch.float32, non_blocking=True) for store in self.cached]

    def of_batch(self, batch: PairBatch) -> list[Tensor]:
        """Features of a batch's normal images, float32 on the device; those disturbed are computed."""
        found = self.of(batch.index)
        if batch.disturbed.any():
            changed = torch.from_numpy(np.flatnonzero(batch.disturbed)).to(self.device)
            computed = self.compute(to_input(batch.normal[batch.disturbed], self.device))
            for feature, new in zip(found, computed, strict=True):
                feature[changed] = new.to(feature.dtype)
        return found

    def batches(self) -> Iterator[list[Tensor]]:
        """The features of all normal images, a few images at a time."""
        for start in range(0, len(self.images), _CHUNK):
            yield self.of(np.arange(start, min(start + _CHUNK, len(self.images))))
