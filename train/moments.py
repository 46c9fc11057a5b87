"""Mean and covariance of feature vectors over all places of many images, and the whitening they give."""

from __future__ import annotations

import torch
from torch import Tensor

#: Share of the mean variance that is added to every direction: few images leave some directions at zero.
_SHRINKAGE = 0.01


class Moments:
    """Mean and covariance of the channel vectors that are added."""

    def __init__(self) -> None:
        self._count = 0
        self._total: Tensor | float = 0.0
        self._squares: Tensor | float = 0.0

    def add(self, features: Tensor) -> None:
        """Add the vectors of all pixels of N x C x H x W."""
        # Double precision: variances are small differences of large squared means.
        rows = features.flatten(2).transpose(1, 2).flatten(0, 1).double()
        self._count += len(rows)
        self._total = self._total + rows.sum(0)
        self._squares = self._squares + rows.T @ rows

    def mean(self) -> Tensor:
        """C, double precision."""
        return torch.as_tensor(self._total) / self._count

    def covariance(self) -> Tensor:
        """C x C, double precision, without shrinkage."""
        mean = self.mean()
        return torch.as_tensor(self._squares) / self._count - torch.outer(mean, mean)

    def deviations(self) -> Tensor:
        """Standard deviations C, double precision, with shrinkage."""
        variances = self.covariance().diagonal()
        return (variances + _floor(variances)).sqrt()

    def whitening(self) -> tuple[Tensor, Tensor]:
        """Weight C x C and bias C of a map whose result's squared length is the Mahalanobis length.

        The squared length is divided by the channels, so that it is 1 on average over what was added.
        """
        mean, covariance = self.mean(), self.covariance()
        channels = len(mean)
        floor = _floor(covariance.diagonal())
        root = torch.linalg.cholesky(covariance + floor * torch.eye(channels).to(covariance))
        unit = torch.eye(channels).to(root)
        weight = torch.linalg.solve_triangular(root, unit, upper=False) / channels**0.5
        return weight, -weight @ mean


def _floor(variances: Tensor) -> Tensor:
    return _SHRINKAGE * variances.mean() + 1e-12
