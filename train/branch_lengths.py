"""Another length of the difference between teacher and branch: Mahalanobis instead of the cosine.

On a surface where any place may look like any other (``density``), the student never reproduces the teacher
exactly, and errs more in some directions of the features than in others. The cosine counts all directions
alike, so that these errors hide faint foreign matter. Here each branch has, per stage, a Gaussian of the
differences over all places of the good training images; the squared Mahalanobis length of a difference under
it, divided by the channels, is 1 on average over good parts. One 1 x 1 convolution a stage. (Ours, not the
paper's.)
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmdd_edge.train.moments import Moments

#: Stages whose differences have this length too, finest first; the last one is left out, as in ``density``.
STAGES = 3


class BranchLengths(nn.Module):
    """Squared Mahalanobis lengths of teacher minus branch, per branch, stage and pixel.

    Args:
        channels: of the teacher's stages, finest first; the first ``STAGES`` are used.
        branches: in use, in the order of the maps.
    """

    def __init__(self, channels: Sequence[int], branches: Sequence[str]) -> None:
        super().__init__()
        self.branches = tuple(branches)
        for branch in self.branches:
            for stage, count in enumerate(channels[:STAGES]):
                self.register_buffer(f"{branch}_weight{stage}", torch.eye(count)[:, :, None, None])
                self.register_buffer(f"{branch}_bias{stage}", torch.zeros(count))

    def forward(self, teacher: Sequence[Tensor], student: Mapping[str, Sequence[Tensor]]) -> list[Tensor]:
        """Features of the teacher and, by branch, of the student, N x C_i x H_i x W_i.

        Returns:
            float32 N x H_i x W_i of the first ``STAGES``, branch by branch.
        """
        return [
            self._length(branch, stage, teacher[stage].float() - student[branch][stage].float())
            for branch in self.branches
            for stage in range(STAGES)
        ]

    def _length(self, branch: str, stage: int, difference: Tensor) -> Tensor:
        weight, bias = (getattr(self, f"{branch}_{name}{stage}") for name in ("weight", "bias"))
        white = F.conv2d(difference, weight, bias)
        return (white * white).sum(1)

    @torch.no_grad()
    def fit(self, batches: Iterable[tuple[Sequence[Tensor], Mapping[str, Sequence[Tensor]]]]) -> None:
        """Compute mean and covariance of the differences.

        Args:
            batches: features of normal images, as ``forward`` takes them.
        """
        moments = {(branch, stage): Moments() for branch in self.branches for stage in range(STAGES)}
        for teacher, student in batches:
            for (branch, stage), each in moments.items():
                each.add(teacher[stage].float() - student[branch][stage].float())
        for (branch, stage), each in moments.items():
            weight, bias = each.whitening()
            getattr(self, f"{branch}_weight{stage}").copy_(weight[:, :, None, None])
            getattr(self, f"{branch}_bias{stage}").copy_(bias)
