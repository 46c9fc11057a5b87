"""Backbones as four stages: EfficientNet-Lite0, ResNet18, Wide-ResNet50-2 and any sequential one of timm.

The color order is BGR throughout, as OpenCV delivers it: the first convolution's weights and the
normalization are swapped once here, so nothing is reordered at run time.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import timm
import torchvision
from torch import Tensor, nn

from dmdd_edge.errors import OptionError, TrainingError
from dmdd_edge.train import weights as weight_files
from dmdd_edge.train.backbone_check import objection, swap_rgb_bgr
from dmdd_edge.train.option_values import BACKBONES

_IMAGENET_MEAN = (0.485, 0.456, 0.406)
_IMAGENET_STD = (0.229, 0.224, 0.225)
#: Channels-last strides of the four levels that a backbone must offer.
_LEVELS = 4


@dataclass(frozen=True)
class InputNorm:
    """``(x - mean) / std`` per channel, BGR order, for x in 0..255."""

    mean: tuple[float, float, float]
    std: tuple[float, float, float]

    @classmethod
    def from_rgb01(cls, mean: tuple[float, ...], std: tuple[float, ...]) -> InputNorm:
        """From RGB values for images in 0..1."""
        b, g, r = (255.0 * value for value in reversed(mean))
        sb, sg, sr = (255.0 * value for value in reversed(std))
        return cls((b, g, r), (sb, sg, sr))


class Backbone(nn.Module):
    """A convolutional network split into four stages.

    Attributes:
        stages: four modules that run in sequence.
        channels: channels of the four stages' outputs.
        norm: the input normalization that the weights expect.
    """

    def __init__(self, stages: list[nn.Module], channels: list[int], norm: InputNorm) -> None:
        super().__init__()
        self.stages = nn.ModuleList(stages)
        self.channels = channels
        self.norm = norm

    def forward(self, x: Tensor) -> list[Tensor]:
        """Features of a normalized image.

        Args:
            x: float N x 3 x S x S, BGR, normalized.

        Returns:
            four tensors N x C_i x S/s_i x S/s_i, finest first.
        """
        features = []
        for stage in self.stages:
            x = stage(x)
            features.append(x)
        return features


def build_backbone(
    name: str, weights: Path | None = None, *, pretrained: bool = True, check: bool = True
) -> Backbone:
    """Build a backbone.

    Args:
        name: one of ``BACKBONES`` or ``timm:<name>``.
        weights: file of weights (.pth, .safetensors); None uses the backbone's default source.
        pretrained: False leaves random weights, for tests, timing and loading a checkpoint over them.
        check: test whether a timm model can be split; False for a run that was trained with it.

    Raises:
        DmddError: the name is unknown, the weights are not available, or feature levels are missing.
    """
    if name in weight_files.LITE_FILES:
        model = timm.create_model(f"tf_{name}", pretrained=False)
        backbone = _from_timm(model, name, InputNorm((127.0,) * 3, (128.0,) * 3), check=False)
    elif name in ("resnet18", "wide_resnet50_2"):
        model = torchvision.models.get_model(name, weights=None)
        backbone = _from_resnet(model)
    elif name.startswith("timm:"):
        model = _create_timm(name.removeprefix("timm:"))
        config: Any = model.pretrained_cfg
        backbone = _from_timm(model, name, InputNorm.from_rgb01(config["mean"], config["std"]), check=check)
    else:
        raise OptionError(
            f"Unknown backbone {name!r}.",
            fix=f"Choose one of {', '.join(BACKBONES)}, or timm:<name> for any convolutional model of timm.",
        )
    if pretrained:
        weight_files.load(model, name, weights)
        swap_rgb_bgr(backbone.stages[0])
    return backbone


def _from_resnet(model: torchvision.models.ResNet) -> Backbone:
    stem = [model.conv1, model.bn1, model.relu, model.maxpool]
    stages: list[nn.Module] = [
        nn.Sequential(*stem, model.layer1),
        model.layer2,
        model.layer3,
        model.layer4,
    ]
    channels = [_last_channels(stage) for stage in stages]
    return Backbone(stages, channels, InputNorm.from_rgb01(_IMAGENET_MEAN, _IMAGENET_STD))


def _last_channels(stage: nn.Module) -> int:
    norms = [module for module in stage.modules() if isinstance(module, nn.BatchNorm2d)]
    return max(norm.num_features for norm in norms)


def _create_timm(name: str) -> nn.Module:
    try:
        return timm.create_model(name, pretrained=False)
    except (RuntimeError, ValueError):
        similar = timm.list_models(f"*{name.split('_')[0]}*")[:8]
        hint = f"; similar: {', '.join(similar)}" if similar else ""
        raise OptionError(
            f"timm has no model {name!r}{hint}.", fix="Choose one that timm.list_models() returns."
        ) from None


def _from_timm(model: nn.Module, name: str, norm: InputNorm, *, check: bool) -> Backbone:
    """Split a timm model after the modules that its feature table names; the last four levels are used."""
    table = getattr(model, "feature_info", None)
    info = list(getattr(table, "info", table) or [])
    if len(info) < _LEVELS:
        raise TrainingError(
            f"Backbone {name!r} has {len(info)} feature levels; four are required.",
            fix="Choose a convolutional pyramid such as timm:resnet34 or timm:mobilenetv3_large_100.",
        )
    info = info[-_LEVELS:]
    stages: list[nn.Module] = []
    current: list[nn.Module] = []
    ends = [entry["module"] for entry in info]
    for path, module in _flatten(model, ends):
        current.append(module)
        if path == ends[len(stages)]:
            stages.append(nn.Sequential(*current))
            current = []
            if len(stages) == _LEVELS:
                break
    backbone = Backbone(stages, [entry["num_chs"] for entry in info], norm)
    reason: str | None = None
    if len(stages) < _LEVELS:
        reason = "its feature levels are not separate modules"
    elif check:
        reason = objection(model, backbone.stages, backbone.channels, name.removeprefix("timm:"))
    if reason is not None:
        raise TrainingError(
            f"Backbone {name!r} cannot be used: {reason}.",
            fix="Choose a sequential model such as timm:resnet34, timm:regnety_004 or timm:efficientnet_b0.",
        )
    return backbone


def _flatten(model: nn.Module, ends: list[str]) -> list[tuple[str, nn.Module]]:
    """Children in order of execution; containers with an end inside are opened."""
    modules = []
    for name, child in model.named_children():
        inside = [end.removeprefix(f"{name}.") for end in ends if end.startswith(f"{name}.")]
        if inside:
            modules += [(f"{name}.{path}", module) for path, module in _flatten(child, inside)]
        else:
            modules.append((name, child))
    return modules
