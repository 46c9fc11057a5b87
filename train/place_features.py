"""The usual feature at the same place: how far the teacher's features are from what good parts show there.

Where good parts always look the same way, by a fixture or since their images are aligned, each place has a
usual feature of the teacher: its mean over the good images. The differences to it have one covariance for all
places, so that their Mahalanobis length costs one small convolution. Nothing is trained by gradient descent.
(Ours, not the paper's. The idea is PaDiM's, here with one stage and one covariance instead of one a place,
which would be as large as all images and, in a graph, slower than the networks.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

#: The stage whose features are compared, at an eighth of the image's side.
STAGE = 1
#: Share of the features' variance that their place must explain: on surfaces it is less, see ``density``.
_LEAST_ORDER = 0.25
#: Share of the mean variance that is added to each channel's.
_RIDGE = 0.01


class PlaceFeatures(nn.Module):
    """Squared Mahalanobis lengths of the teacher's features less the usual ones at their places.

    Args:
        shape: C, H and W of the teacher's features at the stage.
    """

    stage = STAGE
    mean: Tensor
    weight: Tensor

    def __init__(self, shape: Sequence[int]) -> None:
        super().__init__()
        channels, height, width = shape
        self.register_buffer("mean", torch.zeros(channels, height, width))
        self.register_buffer("weight", torch.eye(channels)[:, :, None, None])

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """The teacher's features, N x C_i x H_i x W_i, to float32 N x H x W of the stage, 1 on average."""
        white = F.conv2d(features[STAGE].float() - self.mean, self.weight)
        return (white * white).mean(1)

    @classmethod
    @torch.no_grad()
    def fitted(cls, batches: Iterable[Sequence[Tensor]]) -> PlaceFeatures | None:
        """Measure good images.

        Args:
            batches: the teacher's features, as ``forward`` takes them; one image at least.

        Returns:
            None where the place in the image says little of what good images show there.
        """
        count, total, products = 0, torch.zeros(()), torch.zeros(())
        for features in batches:
            for image in features[STAGE]:  # one by one: in double precision a batch can take gigabytes
                rows = image.double().flatten(1)
                total, products = total + image.double(), products + rows @ rows.T
            count += len(features[STAGE])
        mean = total / count
        of_places = mean.flatten(1)
        places = of_places.shape[1]
        within = products / (count * places) - of_places @ of_places.T / places
        overall = of_places.mean(1)
        between = of_places @ of_places.T / places - torch.outer(overall, overall)
        order = between.trace() / (between + within).trace().clamp(min=1e-12)
        if float(order) < _LEAST_ORDER:
            return None
        variance = within.diagonal().mean().clamp(min=1e-12)
        covariance = within + _RIDGE * variance * torch.eye(
            len(within), dtype=within.dtype, device=within.device
        )
        made = cls(mean.shape).to(mean.device)
        made.mean.copy_(mean)
        made.weight.copy_(torch.linalg.inv(torch.linalg.cholesky(covariance))[:, :, None, None])
        return made
