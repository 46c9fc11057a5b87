"""How usual the teacher's features are on good parts: a Gaussian per stage, folded into one convolution.

The third family of maps beside the two branches (ours, not the paper's). The branches compare a student with
the teacher; on a rough surface, where good places differ much from one another, what they do not share is
larger than a small defect. Here the teacher's features alone are held against their distribution over all
places of all good training images: the squared Mahalanobis length of a feature vector, divided by its
channels, which is 1 on average over good parts. Nothing is learnt by descent, and no position is kept.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: Stages whose features are described, finest first. The last one is left out: its cells are an eighth of the
#: picture's side apart, and its many channels would cost more than the other three together.
STAGES = 3
#: Share of the mean variance that is added to every direction: few images leave some directions without any.
_SHRINKAGE = 0.01


class FeatureDensity(nn.Module):
    """Squared Mahalanobis lengths of the teacher's features, per stage and pixel.

    Args:
        channels: of the teacher's stages, finest first; the first ``STAGES`` are used.
    """

    def __init__(self, channels: Sequence[int]) -> None:
        super().__init__()
        for stage, count in enumerate(channels[:STAGES]):
            self.register_buffer(f"weight{stage}", torch.eye(count)[:, :, None, None])
            self.register_buffer(f"bias{stage}", torch.zeros(count))

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The teacher's features, N x C_i x H_i x W_i, to float32 N x H_i x W_i of the first ``STAGES``."""
        return [self._length(stage, features[stage]) for stage in range(STAGES)]

    def _length(self, stage: int, feature: Tensor) -> Tensor:
        weight, bias = (getattr(self, f"{name}{stage}") for name in ("weight", "bias"))
        white = F.conv2d(feature.float(), weight, bias)
        return (white * white).sum(1)

    @torch.no_grad()
    def fit(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Take mean and covariance of features.

        Args:
            batches: the teacher's features of normal images, as ``forward`` takes them.
        """
        count = [0] * STAGES
        total: list[Tensor | float] = [0.0] * STAGES
        squares: list[Tensor | float] = [0.0] * STAGES
        for features in batches:
            for stage in range(STAGES):
                # Double precision: variances are small beside the squared means that they are left over from.
                rows = features[stage].flatten(2).transpose(1, 2).flatten(0, 1).double()
                count[stage] += len(rows)
                total[stage] = total[stage] + rows.sum(0)
                squares[stage] = squares[stage] + rows.T @ rows
        for stage in range(STAGES):
            mean = torch.as_tensor(total[stage]) / count[stage]
            covariance = torch.as_tensor(squares[stage]) / count[stage] - torch.outer(mean, mean)
            weight, bias = _whitening(mean, covariance)
            getattr(self, f"weight{stage}").copy_(weight[:, :, None, None])
            getattr(self, f"bias{stage}").copy_(bias)


def _whitening(mean: Tensor, covariance: Tensor) -> tuple[Tensor, Tensor]:
    """Weight C x C and bias C that turn a vector into one whose squared length is wanted."""
    channels = len(mean)
    floor = _SHRINKAGE * covariance.diagonal().mean() + 1e-12
    root = torch.linalg.cholesky(covariance + floor * torch.eye(channels).to(covariance))
    weight = torch.linalg.solve_triangular(root, torch.eye(channels).to(root), upper=False) / channels**0.5
    return weight, -weight @ mean
