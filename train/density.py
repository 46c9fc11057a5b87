"""The density of the teacher's features on good parts: a Gaussian per stage, folded into one convolution.

A third family of maps beside the two branches (ours, not the paper's). The branches compare a student with
the teacher; on a rough surface, where good places differ much, that difference exceeds a small defect. Here
only the teacher's features are compared with their distribution over all places of all good training images:
the squared Mahalanobis length of a feature vector, divided by its channels, which is 1 on average over good
parts. Nothing is trained by gradient descent, and no position is stored.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmdd_edge.train.moments import Moments

#: Stages whose features are described, finest first. The last one is left out: its cells are an eighth of the
#: image's side apart, and its many channels would cost more than the other three together.
STAGES = 3
#: The stage that decides whether there is an order: the image's border affects the last one.
_ORDER_STAGE = 1
#: Share of the features' variance that their place in the image may explain on a surface. Measured: 0.02 to
#: 0.13 on papers and textures, 0.48 to 0.89 on parts with a fixed orientation.
_MOST_ORDER = 0.25


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
        self.order = 0.0

    @property
    def is_surface(self) -> bool:
        """Whether all places of the good images in ``fit`` may look like any other.

        Where the place matters, a feature that is usual at one place is a defect at another, and a density
        without positions cannot distinguish them.
        """
        return self.order <= _MOST_ORDER

    def forward(self, features: Sequence[Tensor]) -> list[Tensor]:
        """The teacher's features, N x C_i x H_i x W_i, to float32 N x H_i x W_i of the first ``STAGES``."""
        return [self._length(stage, features[stage]) for stage in range(STAGES)]

    def _length(self, stage: int, feature: Tensor) -> Tensor:
        weight, bias = (getattr(self, f"{name}{stage}") for name in ("weight", "bias"))
        white = F.conv2d(feature.float(), weight, bias)
        return (white * white).sum(1)

    @torch.no_grad()
    def fit(self, batches: Iterable[Sequence[Tensor]]) -> None:
        """Compute mean and covariance of features.

        Args:
            batches: the teacher's features of normal images, as ``forward`` takes them.
        """
        moments = [Moments() for _ in range(STAGES)]
        images, by_place = 0, torch.zeros(())
        for features in batches:
            images += len(features[_ORDER_STAGE])
            by_place = by_place + features[_ORDER_STAGE].double().sum(0)
            for stage in range(STAGES):
                moments[stage].add(features[stage])
        self.order = _explained_by_place(by_place / images, moments[_ORDER_STAGE].covariance(), images)
        for stage in range(STAGES):
            weight, bias = moments[stage].whitening()
            getattr(self, f"weight{stage}").copy_(weight[:, :, None, None])
            getattr(self, f"bias{stage}").copy_(bias)


def _explained_by_place(means: Tensor, covariance: Tensor, images: int) -> float:
    """Share of the variance that the place explains (adjusted eta squared); 0 for a single image.

    Args:
        means: of the images' features, C x H x W.
        covariance: of all features, C x C.
        images: how many; the variance that their means have by chance alone is subtracted.
    """
    if images < 2:
        return 0.0
    between = means.flatten(1).var(1, unbiased=False).sum()
    share = float(between / covariance.diagonal().sum().clamp(min=1e-12))
    return max(0.0, (images * share - 1.0) / (images - 1.0))
