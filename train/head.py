"""From the distance maps to the anomaly map and the score: the paper's MSN, the plain sum, our scaled maps.

The Multi-perception Segmentation Network (MSN) has Pyramid Upsampling (PU) and the Multi-perception
Mechanism (MM), see ``perception``. Both can be switched off, as in the paper's ablation.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmdd_edge.train import branch_lengths, density, perception
from dmdd_edge.train.config import ModelConfig

#: Stages of a backbone, and so distance maps per branch.
STAGES = perception.STAGES
#: Initial logits of the head: sigmoid(SCALE * mean distance + BIAS). A distance of 0.3 is the middle.
_SCALE, _BIAS = 10.0, -3.0


def anomaly_score(maps: Tensor, top_k: int) -> Tensor:
    """Mean of the ``top_k`` largest values of each map (paper, S).

    Args:
        maps: N x S x S, 0..1.
        top_k: count of values.

    Returns:
        N, 0..1.
    """
    return maps.flatten(1).topk(top_k, dim=1, sorted=False).values.mean(1)


class GaussianSmoothing(nn.Module):
    """A Gaussian filter of fixed width over N x C x H x W, with edges replicated.

    Args:
        sigma: width in pixels of the tensor it is applied to; 0 passes through.
    """

    weights: Tensor

    def __init__(self, sigma: float) -> None:
        super().__init__()
        self.radius = int(3.0 * sigma + 0.5)
        offsets = torch.arange(-self.radius, self.radius + 1, dtype=torch.float32)
        weights = torch.exp(-0.5 * (offsets / max(sigma, 1e-6)) ** 2)
        self.register_buffer("weights", weights / weights.sum(), persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """N x C x H x W to the same shape."""
        if self.radius == 0:
            return x
        r, c = self.radius, x.shape[1]
        x = F.pad(x, (r, r, r, r), mode="replicate")
        x = F.conv2d(x, self.weights.view(1, 1, 1, -1).expand(c, 1, 1, -1), groups=c)
        return F.conv2d(x, self.weights.view(1, 1, -1, 1).expand(c, 1, -1, 1), groups=c)


class Head(nn.Module, ABC):
    """From distance maps to the anomaly map and the score.

    A head works at 1 / head_stride of the input's size. Smoothing and upsampling are linear, so the Gaussian
    filter runs at that size too, before the map is enlarged.

    Args:
        config: shape of the model.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__()
        self.full_size, self.top_k = config.image_size, config.top_k
        self.size = config.image_size // config.head_stride
        self.smoothing = GaussianSmoothing(config.smoothing / config.head_stride)
        self.channels = STAGES * (2 if config.branches == "both" else 1)

    def enlarge(self, x: Tensor) -> Tensor:
        """N x 1 x s x s to N x S x S, bilinear."""
        return resize(x, self.full_size)[:, 0]

    @abstractmethod
    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """Anomaly map and score from distance maps.

        Args:
            maps: four per branch in use, N x H_i x W_i, 0..2, normality first, finest stage first.

        Returns:
            anomaly map N x S x S and score N, both 0..1.
        """


def resize(x: Tensor, size: int) -> Tensor:
    """N x C x H x W to N x C x size x size, bilinear."""
    return F.interpolate(x, size=(size, size), mode="bilinear", align_corners=False)


class SumHead(Head):
    """The paper's row without MSN: distance maps upsampled and added, scaled to 0..1; nothing is trained."""

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """See ``Head.forward``. The score is the mean of the ``top_k`` largest values of the map.

        Maps that follow those of the branches are not part of the paper's sum and are left out.
        """
        mean = _upsample_sum(maps[: self.channels], self.size) / (2.0 * self.channels)
        full = self.enlarge(self.smoothing(mean))
        return full, anomaly_score(full, self.top_k)


def _upsample_sum(maps: list[Tensor], size: int) -> Tensor:
    """Sum of the maps at full size. Maps of one stage are added first, since resampling is linear."""
    by_stage: dict[int, Tensor] = {}
    for item in maps:
        side = item.shape[-1]
        by_stage[side] = by_stage[side] + item if side in by_stage else item
    total: Tensor | None = None
    for item in by_stage.values():
        full = resize(item[:, None], size)
        total = full if total is None else total + full
    assert total is not None
    return total


class ScaledHead(Head):
    """Distance maps scaled by their values on normal images (ours, not the paper's).

    The maps of fine and coarse stages, and of the two branches, differ tenfold in scale, and in a plain sum
    the largest hides the others. Here each map D_k has a level p_k and a spread s_k: mean and standard
    deviation of its peak on the normal training images, a peak being the mean of the ``peak_cells`` largest
    values.

    - map: the geometric mean of D_k / p_k + 0.03, so that the scales must agree; squashed by m / (m + 2).
    - score: the mean over k of the peak's z-value (peak - p_k) / s_k; squashed to 0..1, 0.5 is the average
      normal image. It is computed per scale, because a defect may be visible at one scale only. Or, where
      ``join_score`` says so, the peak of the mean over k of (D_k - p_k) / s_k, at most 5: a place counts
      where several scales agree, and a normal part on which one map is far above its level does not stand
      out. Its average normal image is below 0.5.

    Both means are weighted: by stage, and for the abnormality branch also by ``abnormality_weight``, since
    only synthetic anomalies train that branch. A coarse stage detects what is missing or bent, but its
    response spreads far around: its useful weight in the map depends on the category, as does that of the
    abnormality branch. With "auto" in the configuration, the map's weights are chosen once the student is
    trained (``scales``); the score's are fixed, since spreading does not affect it.

    Maps for surfaces may follow the branches': of the other length of the branches' differences
    (``branch_lengths``), which get a share of the branches' weights, and of the density of the teacher's
    features (``density``), which get a share of all weights, evenly over their stages. Both shares are chosen
    too. The map of the nearest usual feature (``prototypes``), the last, gets a share of the score's weights
    only; that of the usual features at each place (``place_features``), in its stead, one of the map's too.

    Args:
        config: shape of the model.
    """

    _FLOOR, _MIDDLE, _SPREADS, _LIMIT = 0.03, 2.0, 4.0, 5.0
    #: Weights of the stages, finest first, in the score, and in the map until they are chosen.
    STAGE_WEIGHTS = (1.0, 1.0, 2.0, 0.5)
    #: Weight of the abnormality branch, likewise.
    ABNORMALITY_WEIGHT = 0.3
    level: Tensor
    spread: Tensor
    share: Tensor
    map_share: Tensor

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        self.peak_cells = max(1, round(config.top_k / config.head_stride**2))
        self.branch_maps = self.channels
        self.chooses_density = config.density == "auto"
        self.chooses_joined, self.joined_score = config.joined_score == "auto", False
        branches = self.branch_maps // STAGES
        self.length_maps = branches * branch_lengths.STAGES if self.chooses_density else 0
        self.density_maps = density.STAGES if self.chooses_density else 0
        self.prototype_maps = int(config.prototypes == "auto")
        self.channels += self.length_maps + self.density_maps + self.prototype_maps
        self.register_buffer("level", torch.ones(self.channels))
        self.register_buffer("spread", torch.ones(self.channels))
        self.chooses_stages = config.stage_weights == "auto"
        self.chooses_branch = config.abnormality_weight == "auto" and config.branches == "both"
        self.stages: Sequence[float] = (
            self.STAGE_WEIGHTS if config.stage_weights == "auto" else config.stage_weights
        )
        self.abnormality = (
            self.ABNORMALITY_WEIGHT if config.abnormality_weight == "auto" else config.abnormality_weight
        )
        share = self._share(self.stages, self.abnormality)
        self._score_chosen, self.usual_share = False, 0.0
        self.register_buffer("share", share, persistent=bool(self.prototype_maps))
        chooses = self.chooses_stages or self.chooses_branch or self.chooses_density
        self.register_buffer("map_share", share.clone(), persistent=chooses)

    def _share(
        self,
        stages: Sequence[float],
        abnormality: float,
        density_share: float = 0.0,
        length_share: float = 0.0,
    ) -> Tensor:
        of_branch = torch.tensor(stages)
        weights = torch.cat([of_branch, abnormality * of_branch])[: self.branch_maps]
        lengths = torch.zeros(0)
        if self.length_maps:
            lengths = weights.unflatten(0, (-1, STAGES))[:, : branch_lengths.STAGES].flatten()
            lengths = (1.0 - density_share) * length_share * lengths / lengths.sum()
        evenly = torch.full((self.density_maps,), density_share / max(self.density_maps, 1))
        none = torch.zeros(self.prototype_maps)
        weights = (1.0 - density_share) * (1.0 - length_share) * weights / weights.sum()
        return torch.cat([weights, lengths, evenly, none])

    def weigh(
        self,
        stages: Sequence[float],
        abnormality: float,
        density_share: float = 0.0,
        length_share: float = 0.0,
    ) -> None:
        """Set the weights of the maps in the anomaly map.

        Args:
            stages: weights of the stages, finest first; at least one is above zero.
            abnormality: weight of the abnormality branch, where the normality branch's is 1.
            density_share: share of the maps of the features' density together, 0..1.
            length_share: share of the other length in the rest, 0..1.
        """
        self.map_share.copy_(self.map_weights(stages, abnormality, density_share, length_share))

    def map_weights(
        self, stages: Sequence[float], abnormality: float, density_share: float, length_share: float
    ) -> Tensor:
        """The weight of each map in the anomaly map, K; the arguments are those of ``weigh``."""
        return self._with_usual(
            self._share(stages, abnormality, density_share, length_share), self.usual_share
        )

    def _with_usual(self, weights: Tensor, usual_share: float) -> Tensor:
        """Weights of which the last map, if it is there, has a share, and the others the rest."""
        if self.prototype_maps:
            weights *= 1.0 - usual_share
            weights[self.channels - self.prototype_maps :] = usual_share
        return weights

    def weigh_score(self, prototype_share: float) -> None:
        """Set the prototypes' share of the score, 0..1; the branches' maps have the rest."""
        self.share.copy_(self.score_share(self.stages, self.abnormality, prototype_share))

    def score_share(self, stages: Sequence[float], abnormality: float, prototype_share: float) -> Tensor:
        """The weight of each map in the score, K.

        Args:
            stages, abnormality: as for ``weigh``.
            prototype_share: share of the prototypes, 0..1; the branches' maps have the rest.
        """
        return self._with_usual(self._share(stages, abnormality), prototype_share)

    def keep_score_share(self) -> None:
        """Keep the weights of the score with the other tensors: they are not those of the configuration."""
        self._score_chosen = True
        self.register_buffer("share", self.share, persistent=True)

    def join_score(self, joined: bool = True) -> None:
        """Set whether the score is the peak of the joined values; the tensors of the state keep it."""
        self.joined_score = joined
        self.register_buffer("joined", torch.ones(1) if joined else None)

    def drop_lengths(self) -> None:
        """Drop the maps of the other length, whose weights are zero; the others stay."""
        first = self.branch_maps
        dropped, self.length_maps = range(first, first + self.length_maps), 0
        self._drop(dropped)

    def drop_density(self) -> None:
        """Drop the maps of the features' density, whose weights are zero; the others stay."""
        first = self.branch_maps + self.length_maps
        dropped, self.density_maps = range(first, first + self.density_maps), 0
        self._drop(dropped)

    def drop_prototypes(self) -> None:
        """Drop the map of the usual features, whose weights are zero; the others stay."""
        self.prototype_maps = 0
        self._drop(range(self.channels - 1, self.channels))

    def _drop(self, dropped: range) -> None:
        """Keep only the maps without these indices."""
        kept = [index for index in range(self.channels) if index not in dropped]
        self.chooses_density = bool(self.density_maps or self.length_maps)
        persistent = {"level", "spread"}
        if self.chooses_stages or self.chooses_branch or self.chooses_density:
            persistent.add("map_share")
        if self.prototype_maps or self._score_chosen:
            persistent.add("share")
        for name in ("level", "spread", "share", "map_share"):
            self.register_buffer(name, getattr(self, name)[kept].clone(), persistent=name in persistent)
        self.channels = len(kept)

    def stack(self, maps: list[Tensor]) -> Tensor:
        """Distance maps, as in ``forward``, to N x K x s x s, smoothed, at the head's size s."""
        return self.smoothing(torch.cat([resize(item[:, None], self.size) for item in maps], dim=1))

    def peaks(self, stacked: Tensor) -> Tensor:
        """Mean of the largest values of each map, N x K x s x s to N x K."""
        return stacked.flatten(2).topk(self.peak_cells, dim=2).values.mean(2)

    def fit(self, peaks: Tensor) -> None:
        """Set levels and spreads.

        Args:
            peaks: of normal images, n x K.
        """
        self.level.copy_(peaks.mean(0).clamp(min=1e-4))
        # Few images give no reliable spread, and one image none: at least a twentieth of the level.
        spread = peaks.std(0) if len(peaks) > 1 else torch.zeros_like(self.level)
        self.spread.copy_(torch.maximum(spread, 0.05 * self.level))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """See ``Head.forward`` and the class."""
        return self.combine(self.stack(maps))

    def combine(self, stacked: Tensor) -> tuple[Tensor, Tensor]:
        """Map and score of the stacked maps; see ``forward``."""
        return self.enlarge(self.map(stacked)), self.score(stacked)

    def map(self, stacked: Tensor) -> Tensor:
        """The anomaly map at the head's size, N x K x s x s to N x 1 x s x s, 0..1."""
        relative = stacked / self.level[:, None, None] + self._FLOOR
        mean = torch.exp((torch.log(relative) * self.map_share[:, None, None]).sum(1, keepdim=True))
        return mean / (mean + self._MIDDLE)

    def map_peaks(self, stacked: Tensor) -> Tensor:
        """The peak of the anomaly map, N x K x s x s to N, 0..1."""
        return self.peaks(self.map(stacked))[:, 0]

    def score(self, stacked: Tensor) -> Tensor:
        """The score, N x K x s x s to N, 0..1."""
        if self.joined_score:
            level, spread, share = (each[:, None, None] for each in (self.level, self.spread, self.share))
            values = ((stacked - level) / spread).clamp(max=self._LIMIT) * share
            z = self.peaks(values.sum(1, keepdim=True))[:, 0]
        else:
            z = ((self.peaks(stacked) - self.level) / self.spread * self.share).sum(1)
        return 0.5 + 0.5 * z / (z.abs() + self._SPREADS)


class SegmentationHead(Head):
    """Multi-perception Segmentation Network (paper, MSN).

    Args:
        config: shape of the model; ``head_stride`` 1 applies attention at the input's size as in the paper,
            4 at the finest stage's size.
    """

    def __init__(self, config: ModelConfig) -> None:
        super().__init__(config)
        branches = ("normality", "abnormality") if config.branches == "both" else (config.branches,)
        self.fusion = nn.ModuleList(
            perception.PyramidUpsampling(top_down=branch == "normality")
            if config.pyramid_upsampling
            else nn.Identity()
            for branch in branches
        )
        many = config.multi_perception
        self.perception = perception.MultiPerception(self.channels, self.size) if many else None
        self.scale = nn.Parameter(torch.tensor(_SCALE))
        self.bias = nn.Parameter(torch.tensor(_BIAS))

    def logits(self, maps: list[Tensor]) -> Tensor:
        """Distance maps, as in ``Head.forward``, to the map before its sigmoid, N x S x S."""
        fused: list[Tensor] = []
        for branch, fusion in enumerate(self.fusion):
            own = [item[:, None] for item in maps[STAGES * branch : STAGES * (branch + 1)]]
            fused += fusion(own)
        stacked = torch.cat([resize(item, self.size) for item in fused], dim=1)
        mean = stacked.mean(1, keepdim=True) if self.perception is None else self.perception(stacked)
        return self.enlarge(self.smoothing(self.scale * mean + self.bias))

    def forward(self, maps: list[Tensor]) -> tuple[Tensor, Tensor]:
        """See ``Head.forward``. The score is the mean of the ``top_k`` largest values of the map."""
        full = torch.sigmoid(self.logits(maps))
        return full, anomaly_score(full, self.top_k)


def make_head(config: ModelConfig) -> Head:
    """The head that a configuration names."""
    kinds: dict[str, type[Head]] = {"msn": SegmentationHead, "sum": SumHead, "scaled": ScaledHead}
    return kinds[config.head](config)
