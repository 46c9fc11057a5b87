"""The deployment graph: teacher, student, PMN, distances and head as one module for inference only.

It gives the same map and score as ``train.model.DMDD`` and costs less:

- every BatchNorm is folded into its convolution, in float32 (also before going to half precision);
- the input's standard deviation is folded into the two first convolutions. Its mean may not: zero padding at
  the border stands for the mean, so the subtraction stays in the graph;
- the teacher's unit vectors are computed once for both branches;
- a branch that is switched off, and whatever only it needs, is left out;
- the head works at the finest stage's size, and what is linear is done before upsampling.

Half precision is for the networks only. What half precision would spoil stays float32: the image's mean
subtraction, unit vectors and distances, the head with its sigmoid, and the top-k mean ("islands").
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dmdd_edge.train.distance import EPSILON
from dmdd_edge.train.fold import fold_batchnorm
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.suitability import image_convolutions

_BRANCHES = ("normality", "abnormality")


class SubtractMean(nn.Module):
    """Island: uint8 N x S x S x 3 to float32 N x 3 x S x S less the channels' mean. The cast comes first."""

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone().view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return image.to(torch.float32).permute(0, 3, 1, 2) - self.mean


class Distances(nn.Module):
    """Island: cosine distances in float32, half the squared difference of unit vectors.

    The same value as ``train.distance.cosine_distance``, with the teacher's unit vectors shared.
    """

    def forward(self, teacher: list[Tensor], branches: list[list[Tensor]]) -> list[Tensor]:
        """Four features of the teacher and four per branch, to N x H_i x W_i float32, branch by branch."""
        units = [_unit(feature) for feature in teacher]
        return [
            0.5 * _sum_of_squares(unit - _unit(feature))[:, 0]
            for branch in branches
            for unit, feature in zip(units, branch, strict=True)
        ]


def _unit(x: Tensor) -> Tensor:
    x = x.to(torch.float32)
    return x * torch.rsqrt(_sum_of_squares(x) + EPSILON)


def _sum_of_squares(x: Tensor) -> Tensor:
    """Over the channels, N x 1 x H x W. A product, not a power: back ends compute it faster."""
    return (x * x).sum(1, keepdim=True)


class StudentNetwork(nn.Module):
    """The decoupled student's network for inference, with only the branches in use.

    The decoupling convolution of a stage becomes one convolution per half that something reads: no split, and
    none for the half that only a switched-off branch would need.

    Args:
        model: as trained, in evaluation mode.
    """

    def __init__(self, model: DMDD) -> None:
        super().__init__()
        student = fold_batchnorm(model.student)
        self.stages, self.pmn = student.stages, student.pmn
        self.branches = [branch for branch in _BRANCHES if branch in self.pmn]
        last = len(self.stages) - 1
        # The last stage's normality feature is no stage's input: only its own branch reads it.
        self.normality = nn.ModuleList(
            _half(layer, 0) if index < last or "normality" in self.branches else nn.Identity()
            for index, layer in enumerate(student.decouple)
        )
        self.abnormality = nn.ModuleList(
            _half(layer, 1) for layer in student.decouple if "abnormality" in self.branches
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Normalised image to four features per branch in use."""
        found: dict[str, list[Tensor]] = {branch: [] for branch in _BRANCHES}
        for index, stage in enumerate(self.stages):
            feature = stage(x)
            x = self.normality[index](feature)
            found["normality"].append(x)
            if self.abnormality:
                found["abnormality"].append(self.abnormality[index](feature))
        return [self.pmn[branch](found[branch]) for branch in self.branches]


@torch.no_grad()
def _half(layer: nn.Module, which: int) -> nn.Conv2d:
    """The half of a decoupling convolution that gives the normality (0) or the abnormality (1) feature."""
    assert isinstance(layer, nn.Conv2d)
    channels = layer.in_channels
    half = nn.Conv2d(channels, channels, 1)
    for own, whole in ((half.weight, layer.weight), (half.bias, layer.bias)):
        assert own is not None
        assert whole is not None
        own.copy_(whole[which * channels : (which + 1) * channels])
    return half


class DeploymentGraph(nn.Module):
    """The fused graph.

    Input uint8 N x S x S x 3, BGR. Outputs: anomaly map float32 N x S x S in 0..1, score float32 N in 0..1.

    Args:
        model: as trained.
        half: run the networks in float16; the islands stay float32.
    """

    def __init__(self, model: DMDD, *, half: bool = False) -> None:
        super().__init__()
        self.dtype = torch.float16 if half else torch.float32
        self.island_input = SubtractMean(model.normalise.mean)
        self.teacher = fold_batchnorm(model.teacher)
        self.student = StudentNetwork(model)
        for network in (self.teacher, self.student):
            _fold_input_scale(network.stages[0], model.normalise.std)
            network.to(self.dtype)
        self.island_distances = Distances()
        self.island_head = copy.deepcopy(model.head)
        self.requires_grad_(False).eval()

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x = self.island_input(image).to(self.dtype)
        maps, scores = self.island_head(self.island_distances(self.teacher(x), self.student(x)))
        return maps, scores


@torch.no_grad()
def _fold_input_scale(stage: nn.Module, std: Tensor) -> None:
    """Divide the weights that read the image by its standard deviation, per input channel."""
    for conv in image_convolutions(stage):
        conv.weight.div_(std.view(1, 3, 1, 1))
