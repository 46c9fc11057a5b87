"""Base of what the graph does to an image before the networks see it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

Image = NDArray[np.uint8]
#: Images at once.
_BATCH = 16


class ImageChange(nn.Module):
    """Changes images by its ``forward``."""

    def as_seen(self, images: Tensor) -> Tensor:
        """Images as the networks see them.

        Args:
            images: float32 N x 3 x S x S, BGR, 0..255.

        Returns:
            float32 of the same shape.
        """
        seen: Tensor = self(images)
        return seen

    @torch.no_grad()
    def changed(self, images: Image) -> Image:
        """The same of images as they are read.

        Args:
            images: uint8 n x S x S x 3 BGR.

        Returns:
            uint8 of the same shape.
        """
        done = np.empty_like(images)
        for start, batch in zip(range(0, len(images), _BATCH), self.batches(images), strict=True):
            seen = self.as_seen(batch).round().clamp(0, 255).to(torch.uint8)
            done[start : start + _BATCH] = seen.permute(0, 2, 3, 1).cpu().numpy()
        return done

    def batches(self, images: Image) -> Iterator[Tensor]:
        """uint8 n x S x S x 3 to float32 n x 3 x S x S on the module's device, a few at a time."""
        device = next(self.buffers()).device
        for start in range(0, len(images), _BATCH):
            yield torch.from_numpy(images[start : start + _BATCH]).to(device).permute(0, 3, 1, 2).float()
