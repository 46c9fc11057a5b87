"""Lengths of the difference between teacher and branch, other than the cosine's."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import torch.nn.functional as F
from torch import Tensor

from dmdd_edge.train.distance import cosine_distance
from dmdd_edge.train.moments import Moments

#: Features of the teacher and of a branch, N x C x H x W each, to N x H x W.
Length = Callable[[Tensor, Tensor], Tensor]


def lengths(pairs: Iterable[tuple[Tensor, Tensor]]) -> Mapping[str, Length]:
    """The lengths by name, with what they need from good images.

    Args:
        pairs: features of the teacher and of a branch at one stage, batch by batch.
    """
    teacher, difference = Moments(), Moments()
    for t, s in pairs:
        teacher.add(t)
        difference.add(t.float() - s.float())
    mean = difference.mean().float()[:, None, None]

    def scaled(of: Moments, center: Tensor | float) -> Length:
        deviation = of.deviations().float()[:, None, None]
        return lambda t, s: ((t.float() - s.float() - center) / deviation).square().mean(1)

    def mahalanobis(of: Moments, center: Tensor | float) -> Length:
        weight = of.whitening()[0].float()[:, :, None, None]
        return lambda t, s: F.conv2d(t.float() - s.float() - center, weight).square().sum(1)

    return {
        "cosine": cosine_distance,
        "squared difference": lambda t, s: (t.float() - s.float()).square().mean(1),
        "scaled by the teacher's deviations": scaled(teacher, 0.0),
        "scaled by the difference's deviations": scaled(difference, mean),
        "Mahalanobis, covariance of the teacher": mahalanobis(teacher, 0.0),
        "Mahalanobis, covariance of the difference": mahalanobis(difference, mean),
    }
