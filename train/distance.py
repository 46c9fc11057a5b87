"""The cosine distance between feature maps, and the two losses of the student built on it."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

#: Added under the root of a norm; large enough to exist in half precision too.
EPSILON = 1e-6


def unit(x: Tensor) -> Tensor:
    """Vectors along the channels of N x C x H x W, scaled to length one, in float32."""
    x = x.float()
    return x * torch.rsqrt(x.square().sum(1, keepdim=True) + EPSILON)


def cosine_distance(a: Tensor, b: Tensor) -> Tensor:
    """One minus the cosine of the angle between the channel vectors, at each pixel.

    Computed as half the squared difference of the unit vectors: the same value without the cancellation
    that 1 - cos suffers near zero.

    Args:
        a: N x C x H x W.
        b: N x C x H x W.

    Returns:
        float32 N x H x W, 0..2.
    """
    return 0.5 * (unit(a) - unit(b)).square().sum(1)


def ngm_loss(normal_teacher: list[Tensor], of_normal: list[Tensor], of_anomalous: list[Tensor]) -> Tensor:
    """Normality Guidance Modeling: both normality features match the teacher's of the normal image.

    ``1/4 * sum_i mean(D_i^n + D_i^a)`` with D the cosine distance (paper, L_NGM).

    Args:
        normal_teacher: four teacher features of the normal images.
        of_normal: the student's normality features of the normal images.
        of_anomalous: the student's normality features of the synthetic anomalous images.
    """
    terms = [
        (cosine_distance(t, n) + cosine_distance(t, a)).mean()
        for t, n, a in zip(normal_teacher, of_normal, of_anomalous, strict=True)
    ]
    return torch.stack(terms).mean()


def aim_loss(
    teacher: list[Tensor], student: list[Tensor], masks: list[Tensor | None], *, balanced: bool = False
) -> Tensor:
    """Abnormality Inverse Mimicking for one kind of image: near the teacher where normal, far where not.

    ``1/4 * sum_i mean |M_i - m_i|`` (paper, L_AIM).

    Args:
        teacher: four teacher features of the same images.
        student: the student's abnormality features.
        masks: per stage N x H x W of 0 and 1; None stands for all zero, as for normal images.
        balanced: average anomalous and normal pixels apart and add half of each, so that a small anomaly
            weighs as much as the rest of its image; otherwise all pixels count alike (paper).
    """
    terms = []
    for t, s, mask in zip(teacher, student, masks, strict=True):
        distance = cosine_distance(t, s)
        if mask is None:
            terms.append(distance.mean())
        elif balanced:
            error = (distance - mask).abs()
            inside = (error * mask).sum() / mask.sum().clamp(min=1.0)
            outside = (error * (1.0 - mask)).sum() / (1.0 - mask).sum().clamp(min=1.0)
            terms.append(0.5 * (inside + outside))
        else:
            terms.append((distance - mask).abs().mean())
    return torch.stack(terms).mean()


def stage_masks(mask: Tensor, features: list[Tensor], threshold: float) -> list[Tensor]:
    """Ground truth at the stages' sizes: a cell is anomalous when more than ``threshold`` of its area is.

    Args:
        mask: float N x S x S of 0 and 1.
        features: tensors whose last two sizes are the stages'.
        threshold: 0..1.

    Returns:
        float N x H_i x W_i of 0 and 1, one per stage.
    """
    sizes = [(feature.shape[-2], feature.shape[-1]) for feature in features]
    area = [F.adaptive_avg_pool2d(mask[:, None], size)[:, 0] for size in sizes]
    return [(share > threshold).float() for share in area]
