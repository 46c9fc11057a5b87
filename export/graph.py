"""The deployment graph: teacher, student, PMN, distances and head as one module for inference only.

It computes the same map and score as ``train.model.DMDD`` at a lower cost:

- every BatchNorm is folded into its convolution, in float32 (also before the conversion to half precision);
- the input's standard deviation is folded into the two first convolutions. Its mean cannot be: zero padding
  at the border means the mean, so the subtraction stays in the graph;
- the teacher's part of the distances is computed once for both branches; for a CPU they are multiplied out;
- a branch that is switched off, and whatever only it needs, is left out, as are the other length of the
  differences, the features' density and the prototypes where the head does not use them;
- the head works at the finest stage's size, and linear operations come before upsampling.

Only the networks run in half precision. What half precision would degrade stays float32: what is done to the
image before them, unit vectors and distances, the head with its sigmoid, and the top-k mean ("islands").
"""

from __future__ import annotations

import copy

import torch
from torch import Tensor, nn

from dmdd_edge.export.half import to_half
from dmdd_edge.train.backbone_check import image_convolutions
from dmdd_edge.train.branch_lengths import STAGES as LENGTH_STAGES
from dmdd_edge.train.distance import EPSILON
from dmdd_edge.train.fold import fold_batchnorm
from dmdd_edge.train.head import STAGES, Head, ScaledHead, resize
from dmdd_edge.train.model import DMDD

_BRANCHES = ("normality", "abnormality")


class ToFloat(nn.Module):
    """Island: uint8 N x S x S x 3 to float32 N x 3 x S x S. The cast comes first."""

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return image.to(torch.float32).permute(0, 3, 1, 2)


class SubtractMean(nn.Module):
    """Island: float32 N x 3 x S x S less the channels' mean."""

    mean: Tensor

    def __init__(self, mean: Tensor) -> None:
        super().__init__()
        self.register_buffer("mean", mean.clone().view(1, 3, 1, 1))

    def forward(self, image: Tensor) -> Tensor:
        """See the class."""
        return image - self.mean


class Distances(nn.Module):
    """Island: cosine distances in float32, half the squared difference of unit vectors.

    The same as ``train.distance.cosine_distance``: of u = t a and v = s b, a = 1 / sqrt(|t|^2 + EPSILON),
    b likewise. The teacher's part serves both branches. There are two forms:

    - For a GPU directly: unit vectors, their difference, the sum of its squares. TensorRT fuses all of that.
    - For a CPU, where each pass over the features is expensive, multiplied out:

          0.5 * |u - v|^2 = 0.5 * (a^2 |t|^2 + b^2 |s|^2) - a b (t . s)

      Three sums per map, and no vector is stored. Sums over the channels are matrix products with ones,
      which ONNX Runtime computes several times faster than sums; operations on one number per pixel are done
      for all stages at once. It is exact to the last bits of float32, about 1e-7 of a distance in 0..2,
      whatever the lengths of t and s. (It would not be in half precision.)

    Args:
        multiplied_out: use the second form.
    """

    def __init__(self, *, multiplied_out: bool) -> None:
        super().__init__()
        self.multiplied_out = multiplied_out

    def forward(self, teacher: list[Tensor], branches: list[list[Tensor]]) -> list[Tensor]:
        """Four features of the teacher, and of each of K branches, to four N x K x H_i x W_i float32."""
        students = [[branch[stage] for branch in branches] for stage in range(len(teacher))]
        if not self.multiplied_out:
            return [
                0.5 * torch.cat([_sum_of_squares(u - _unit(s)) for s in of_stage], 1)
                for u, of_stage in zip(map(_unit, teacher), students, strict=True)
            ]
        rows = [
            (_rows(t), [_rows(s) for s in of_stage]) for t, of_stage in zip(teacher, students, strict=True)
        ]
        tt = torch.cat([_dot(t, t) for t, _ in rows], 2)
        ss = torch.cat([torch.cat([_dot(s, s) for s in of_stage], 1) for _, of_stage in rows], 2)
        ts = torch.cat([torch.cat([_dot(t, s) for s in of_stage], 1) for t, of_stage in rows], 2)
        aa, bb = 1.0 / (tt + EPSILON), 1.0 / (ss + EPSILON)
        distances = 0.5 * (aa * tt + bb * ss) - torch.sqrt(aa * bb) * ts
        sizes = [feature.shape[2:] for feature in teacher]
        parts = distances.clamp(min=0.0).split([height * width for height, width in sizes], 2)
        return [part.unflatten(2, size) for part, size in zip(parts, sizes, strict=True)]


def _unit(x: Tensor) -> Tensor:
    x = x.to(torch.float32)
    return x * torch.rsqrt(_sum_of_squares(x) + EPSILON)


def _sum_of_squares(x: Tensor) -> Tensor:
    """Over the channels, N x 1 x H x W. A product, not a power, since backends compute it faster."""
    return (x * x).sum(1, keepdim=True)


def _rows(x: Tensor) -> Tensor:
    """N x C x H x W to N x C x HW, float32."""
    return x.to(torch.float32).flatten(2)


def _dot(x: Tensor, y: Tensor) -> Tensor:
    """Over the channels, two N x C x P to N x 1 x P."""
    return torch.ones(1, x.shape[1]) @ (x * y)


class StageHead(nn.Module):
    """Island: the head, fed with the maps as ``Distances`` groups them.

    The scaled head needs one resize per stage here, instead of one per map.

    Args:
        head: as trained.
        usual_stage: stage of the map of the usual features.
    """

    def __init__(self, head: Head, usual_stage: int = 0) -> None:
        super().__init__()
        self.head = copy.deepcopy(head)
        self.branches = head.channels // STAGES  # of the heads that are fed map by map
        if isinstance(self.head, ScaledHead):
            # Here the maps are ordered by stage; in training by branch, followed by the other length's (also
            # by branch), the density's, and the prototypes'.
            own = self.head.branch_maps
            last = own + self.head.length_maps
            order = [
                index
                for stage in range(STAGES)
                for index in (
                    *range(stage, own, STAGES),
                    *(range(own + stage, last, LENGTH_STAGES) if stage < LENGTH_STAGES else ()),
                    *([last + stage] if stage < self.head.density_maps else []),
                    *([self.head.channels - 1] if stage == usual_stage and self.head.prototype_maps else []),
                )
            ]
            for values in (self.head.level, self.head.spread, self.head.share, self.head.map_share):
                values.copy_(values[order])

    def forward(self, stages: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Four of N x K x H_i x W_i to map and score, see ``Head.forward``."""
        if isinstance(self.head, ScaledHead):
            sized = [resize(item, self.head.size) for item in stages]
            return self.head.combine(self.head.smoothing(torch.cat(sized, 1)))
        return self.head([item[:, branch] for branch in range(self.branches) for item in stages])


class StudentNetwork(nn.Module):
    """The decoupled student's network for inference, with only the branches in use.

    The decoupling convolution of a stage becomes one convolution per half that is used: without a split, and
    without the half that only a switched-off branch would need.

    Args:
        model: as trained, in evaluation mode.
    """

    def __init__(self, model: DMDD) -> None:
        super().__init__()
        student = fold_batchnorm(model.student)
        self.stages, self.pmn = student.stages, student.pmn
        self.branches = [branch for branch in _BRANCHES if branch in self.pmn]
        last = len(self.stages) - 1
        # The last stage's normality feature feeds only its branch, and no further stage.
        self.normality = nn.ModuleList(
            _half(layer, 0) if index < last or "normality" in self.branches else nn.Identity()
            for index, layer in enumerate(student.decouple)
        )
        self.abnormality = nn.ModuleList(
            _half(layer, 1) for layer in student.decouple if "abnormality" in self.branches
        )

    def forward(self, x: Tensor) -> list[list[Tensor]]:
        """Normalized image to four features per branch in use."""
        features: dict[str, list[Tensor]] = {branch: [] for branch in _BRANCHES}
        for index, stage in enumerate(self.stages):
            feature = stage(x)
            x = self.normality[index](feature)
            features["normality"].append(x)
            if self.abnormality:
                features["abnormality"].append(self.abnormality[index](feature))
        return [self.pmn[branch](features[branch]) for branch in self.branches]


@torch.no_grad()
def _half(layer: nn.Module, which: int) -> nn.Conv2d:
    """The half of a decoupling convolution for the normality (0) or the abnormality (1) feature."""
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
        self.dtype = torch.float32
        self.island_input = ToFloat()
        self.island_denoise = copy.deepcopy(model.normalize.denoise)
        self.island_mean = SubtractMean(model.normalize.mean)
        self.teacher = fold_batchnorm(model.teacher)
        self.student = StudentNetwork(model)
        for network in (self.teacher, self.student):
            _fold_input_scale(network.stages[0], model.normalize.std)
        self.island_distances = Distances(multiplied_out=True)
        self.island_lengths = copy.deepcopy(model.lengths)
        self.island_density = copy.deepcopy(model.density)
        self.island_prototypes = copy.deepcopy(model.prototypes)
        usual_stage = 0 if model.prototypes is None else model.prototypes.stage
        self.island_head = StageHead(model.head, usual_stage)
        #: Changes the distances before the head; see ``int8.floors``.
        self.island_floors: nn.Module | None = None
        self.island_alignment = copy.deepcopy(model.alignment)
        self.island_brightness = copy.deepcopy(model.brightness)
        self.requires_grad_(False).eval()
        if half:
            self.halve()

    def halve(self) -> None:
        """Run the networks in float16, and compute the distances in the form for a GPU."""
        self.dtype = torch.float16
        for network in (self.teacher, self.student):
            to_half(network)
        self.island_distances = Distances(multiplied_out=False)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x = self.island_input(image)
        if self.island_alignment is None:
            return self._judged(x)
        aligned, pose = self.island_alignment(x)
        maps, scores = self._judged(aligned)
        found: tuple[Tensor, Tensor] = self.island_alignment.back(maps, scores, pose)
        return found

    def _judged(self, image: Tensor) -> tuple[Tensor, Tensor]:
        if self.island_brightness is not None:
            image = self.island_brightness(image)
        if self.island_denoise is not None:
            image = self.island_denoise(image)
        x = self.island_mean(image).to(self.dtype)
        teacher, branches = self.teacher(x), self.student(x)
        stages = self.island_distances(teacher, branches)
        if self.island_lengths is not None:
            lengths = self.island_lengths(teacher, dict(zip(self.student.branches, branches, strict=True)))
            for stage in range(LENGTH_STAGES):
                of_branches = torch.stack(lengths[stage::LENGTH_STAGES], 1)
                stages[stage] = torch.cat([stages[stage], of_branches], 1)
        if self.island_density is not None:
            for stage, density in enumerate(self.island_density(teacher)):
                stages[stage] = torch.cat([stages[stage], density[:, None]], 1)
        if self.island_prototypes is not None:
            stage, unusual = self.island_prototypes.stage, self.island_prototypes(teacher)[:, None]
            stages[stage] = torch.cat([stages[stage], unusual], 1)
        if self.island_floors is not None:
            stages = self.island_floors(stages)
        maps, scores = self.island_head(stages)
        return maps, scores


@torch.no_grad()
def _fold_input_scale(stage: nn.Module, std: Tensor) -> None:
    """Divide the weights that read the image by its standard deviation, per input channel."""
    for conv in image_convolutions(stage):
        conv.weight.div_(std.view(1, 3, 1, 1))
