"""The nearest usual feature: distance of the teacher's features to a few prototypes of good parts.

A student that is trained on few images memorizes them, and other good parts then look unusual to it. The
prototypes are features of the good images; nothing is trained, so they do not have this gap. In the score of
small sets they get a share beside the branches. (Ours, not the paper's. The idea is PatchCore's memory bank,
here with one stage and a fixed number of rows, so that it costs one small convolution.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: The stage whose features are compared, at a sixteenth of the image's side.
STAGE = 2
#: Number of prototypes.
COUNT = 256
#: With at least this many training images, the student does not memorize them, and prototypes are not used.
FEW = 100


class FeaturePrototypes(nn.Module):
    """Distance of the teacher's features to the nearest prototype, per pixel of one stage.

    Args:
        channels: of the teacher's stages, finest first.
    """

    stage = STAGE
    center: Tensor
    weight: Tensor
    bias: Tensor

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        self.register_buffer("center", torch.zeros(channels[STAGE]))
        self.register_buffer("weight", torch.zeros(COUNT, channels[STAGE], 1, 1))
        self.register_buffer("bias", torch.zeros(COUNT))

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The teacher's features, N x C_i x H_i x W_i, to float32 N x H x W of the stage."""
        x = features[STAGE].float() - self.center[:, None, None]
        # |x - p|^2 multiplied out, with p in the convolution.
        nearest = F.conv2d(x, self.weight, self.bias).amin(1) + (x * x).sum(1)
        return nearest.clamp(min=0.0).sqrt()

    @torch.no_grad()
    def fit(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Choose the prototypes: each is the feature that is furthest from those before it (k-center).

        Args:
            batches: the teacher's features of normal images, as ``forward`` takes them.
        """
        rows = torch.cat([f[STAGE].float().flatten(2).transpose(1, 2).flatten(0, 1) for f in batches])
        center = rows.mean(0)
        rows = rows - center
        lengths = (rows * rows).sum(1)
        chosen = [int(lengths.argmin())]
        distance = torch.full_like(lengths, float("inf"))
        while len(chosen) < COUNT:
            last = rows[chosen[-1]]
            distance = torch.minimum(distance, lengths - 2.0 * (rows @ last) + last @ last)
            chosen.append(int(distance.argmax()))
        prototypes = rows[chosen]
        self.center.copy_(center)
        self.weight.copy_(-2.0 * prototypes[:, :, None, None])
        self.bias.copy_((prototypes * prototypes).sum(1))
