"""DMDD as one torch module: frozen teacher, decoupled student, distance maps, head."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.train.alignment import Alignment
from dmdd_edge.train.backbones import Backbone, InputNorm, build_backbone
from dmdd_edge.train.branch_lengths import BranchLengths
from dmdd_edge.train.brightness import Brightness
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.denoise import Denoise
from dmdd_edge.train.density import FeatureDensity
from dmdd_edge.train.distance import cosine_distance
from dmdd_edge.train.head import ScaledHead, make_head
from dmdd_edge.train.place_features import PlaceFeatures
from dmdd_edge.train.prototypes import FEW, FeaturePrototypes
from dmdd_edge.train.student import DecoupledStudent


@dataclass
class Prediction:
    """Anomaly maps and scores of a batch.

    Attributes:
        maps: float32 N x S x S, 0..1.
        scores: float32 N, 0..1.
    """

    maps: Tensor
    scores: Tensor


class Normalize(nn.Module):
    """uint8 N x 3 x S x S in 0..255, BGR, to the backbone's float input.

    Args:
        norm: of the backbone.
        denoise: gray levels, see ``denoise``; 0 changes nothing.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, norm: InputNorm, denoise: float = 0.0) -> None:
        super().__init__()
        self.denoise = Denoise(denoise) if denoise else None
        self.register_buffer("mean", torch.tensor(norm.mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(norm.std).view(1, 3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """Return float32 of the same shape."""
        x = image.float()
        if self.denoise is not None:
            x = self.denoise(x)
        return (x - self.mean) / self.std


def branches_of(config: ModelConfig) -> tuple[str, ...]:
    """The branches in use, in the order of their maps."""
    return ("normality", "abnormality") if config.branches == "both" else (config.branches,)


class DMDD(nn.Module):
    """The whole detector, as trained.

    Args:
        config: shape of the model.
        weights: backbone weights file; None for the backbone's own source.
        pretrained: False builds random weights, to be filled from a checkpoint.
        check: as for ``build_backbone``.
    """

    def __init__(
        self, config: ModelConfig, weights: Path | None = None, *, pretrained: bool = True, check: bool = True
    ) -> None:
        super().__init__()
        self.teacher: Backbone = build_backbone(config.backbone, weights, pretrained=pretrained, check=check)
        # A training repeats the check for the twin: it draws random numbers before the initial weights do.
        twin = build_backbone(config.backbone, pretrained=False, check=check)
        twin.load_state_dict(self.teacher.state_dict())
        self.normalize = Normalize(self.teacher.norm, config.denoise)
        self.student = DecoupledStudent(twin, config)
        self.alignment: Alignment | None = None
        self.brightness: Brightness | None = None
        self.lengths: BranchLengths | None = None
        self.density: FeatureDensity | None = None
        self.prototypes: FeaturePrototypes | PlaceFeatures | None = None
        self.set_head(config)
        self.teacher.requires_grad_(False).eval()

    def train(self, mode: bool = True) -> DMDD:
        """Set training mode; the teacher and frozen BatchNorm stay in evaluation mode."""
        super().train(mode)
        self.teacher.eval()
        if self.config.frozen_norm:
            for module in self.student.stages.modules():
                if isinstance(module, nn.BatchNorm2d):
                    module.eval()
        return self

    def set_head(self, config: ModelConfig) -> None:
        """Replace the head by an untrained one of this configuration; all else must match it."""
        self.config, self.head = config, make_head(config)
        channels, scaled = self.teacher.channels, isinstance(self.head, ScaledHead)
        surfaces = scaled and config.density == "auto"
        self.lengths = BranchLengths(channels, branches_of(config)) if surfaces else None
        self.density = FeatureDensity(channels) if surfaces else None
        self.prototypes = FeaturePrototypes(channels) if scaled and config.prototypes == "auto" else None

    def fit_density(self, batches: Iterable[list[Tensor]]) -> None:
        """Fit the density of the teacher's features on good images.

        Where these show no surface, it is dropped, and with it the other length of the branches' differences.

        Args:
            batches: the teacher's features, as for ``FeatureDensity.fit``; not read without a density.
        """
        if self.density is not None:
            self.density.fit(batches)
            if not self.density.is_surface:
                self.drop_density()
                self.drop_lengths()

    def fit_alignment(self, images: NDArray[np.uint8]) -> str | None:
        """Measure the parts in the good images; where they cannot or need not be aligned, they are not.

        Args:
            images: uint8 n x S x S x 3 BGR.

        Returns:
            why they are not aligned; None where they are.
        """
        reason = self.add_alignment().fit(images)
        if reason is not None:
            self.alignment = None
        return reason

    def add_alignment(self) -> Alignment:
        """Align images from now on; the alignment is to be fitted or filled."""
        device = next(self.parameters()).device
        self.alignment = Alignment(self.config.image_size).to(device)
        return self.alignment

    def fit_brightness(self, images: NDArray[np.uint8]) -> str | None:
        """Measure the brightness of good images; where it says nothing, images keep theirs.

        Args:
            images: aligned, if the model does that, uint8 n x S x S x 3 BGR.

        Returns:
            why it is not changed; None where it is.
        """
        reason = self.add_brightness().fit(images)
        if reason is not None:
            self.brightness = None
        return reason

    def add_brightness(self) -> Brightness:
        """Make images equally bright from now on; the brightness is to be fitted or filled."""
        device = next(self.parameters()).device
        self.brightness = Brightness(self.config.image_size).to(device)
        return self.brightness

    def as_seen(self, images: NDArray[np.uint8]) -> NDArray[np.uint8]:
        """Images as the networks see them: aligned and equally bright, if the model does that.

        Args:
            images: uint8 n x S x S x 3 BGR.
        """
        for change in (self.alignment, self.brightness):
            if change is not None:
                images = change.changed(images)
        return images

    def drop_lengths(self) -> None:
        """Leave out the other length of the branches' differences, for a head that does not use it."""
        self.lengths = None
        if isinstance(self.head, ScaledHead) and self.head.length_maps:
            self.head.drop_lengths()

    def drop_density(self) -> None:
        """Leave out the maps of the features' density, for a head that does not use them."""
        self.density = None
        if isinstance(self.head, ScaledHead) and self.head.density_maps:
            self.head.drop_density()

    def fit_prototypes(self, batches: Iterable[list[Tensor]], images: int) -> None:
        """Keep usual features of the good images: prototypes of few, of many those at each place.

        Where the place says little, many images leave none.

        Args:
            batches: the teacher's features, as ``FeaturePrototypes.fit`` takes them; not read without.
            images: how many there are.
        """
        if isinstance(self.prototypes, FeaturePrototypes) and images < FEW:
            self.prototypes.fit(batches)
        elif self.prototypes is not None:
            self.prototypes = PlaceFeatures.fitted(batches)
            if self.prototypes is None:
                self.drop_prototypes()

    def drop_prototypes(self) -> None:
        """Leave out the usual features, where neither score nor map uses them."""
        self.prototypes = None
        if isinstance(self.head, ScaledHead) and self.head.prototype_maps:
            self.head.drop_prototypes()

    def distances(self, teacher: list[Tensor], student: dict[str, list[Tensor]]) -> list[Tensor]:
        """Distance maps of the branches in use, normality first: N x H_i x W_i, 0..2, finest stage first.

        Maps of the other length, the features' density and the prototypes, 0 and above, follow where the
        model has them.
        """
        maps = [
            cosine_distance(t, s)
            for branch in ("normality", "abnormality")
            if branch in student
            for t, s in zip(teacher, student[branch], strict=True)
        ]
        if self.lengths is not None:
            maps += self.lengths(teacher, student)
        if self.density is not None:
            maps += self.density(teacher)
        if self.prototypes is not None:
            maps.append(self.prototypes(teacher))
        return maps

    def forward(self, images: Tensor) -> Prediction:
        """Anomaly maps and scores of images.

        Args:
            images: uint8 N x 3 x S x S, BGR, 0..255.
        """
        return self.by_heads(images, [self.head])[0]

    def by_heads(self, images: Tensor, heads: Iterable[nn.Module]) -> list[Prediction]:
        """As ``forward``, of several heads on the same distance maps.

        Args:
            images: uint8 N x 3 x S x S, BGR, 0..255.
            heads: each takes distance maps, as ``Head.forward``.
        """
        alignment = self.alignment
        pose: Any = None
        if alignment is not None:
            images, pose = alignment(images)
        if self.brightness is not None:
            images = self.brightness(images)
        x = self.normalize(images)
        distances = self.distances(self.teacher(x), self.student(x))
        found = [head(distances) for head in heads]
        if alignment is not None:
            found = [alignment.back(maps, scores, pose) for maps, scores in found]
        return [Prediction(maps, scores) for maps, scores in found]
