"""Checks whether a timm model can serve as a backbone: what training and export rely on, tried on an image.

timm names the modules that produce its features, not how they are connected. So each assumption is tested
once, with random weights; a model that breaks one is rejected instead of silently producing other features.
"""

from __future__ import annotations

import copy

import timm
import torch
from torch import Tensor, nn

from dmdd_edge.train.fold import fold_batchnorm

#: Side of the test image.
_SIDE = 128
_STRIDES = (4, 8, 16, 32)


def image_convolutions(first_stage: nn.Module) -> list[nn.Conv2d]:
    """The convolutions that read the image: one in most backbones, several in parallel in RepVGG."""
    return [conv for conv in first_stage.modules() if isinstance(conv, nn.Conv2d) and conv.in_channels == 3]


@torch.no_grad()
def swap_rgb_bgr(first_stage: nn.Module) -> None:
    """Swap the channels that the weights expect, RGB for BGR or back, in place."""
    for conv in image_convolutions(first_stage):
        conv.weight.copy_(conv.weight.flip(1))


@torch.no_grad()
def objection(model: nn.Module, stages: nn.ModuleList, channels: list[int], name: str) -> str | None:
    """Give the reason why stages split from a timm model cannot be used, or None.

    Args:
        model: the whole model, whose modules the stages are.
        stages: four modules that run in sequence.
        channels: channels of their outputs.
        name: the model's name in timm.
    """
    x = torch.randn(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    model.eval()
    try:
        features = _run(stages, x)
        same = _close(features, _features_by_timm(model, name, x))
    except Exception:  # what a wrongly split network raises depends on its modules
        same = False
    if not same:
        return "its modules are not sequential, so it cannot be split into stages"
    shapes = [(1, c, _SIDE // stride, _SIDE // stride) for c, stride in zip(channels, _STRIDES, strict=True)]
    if [tuple(feature.shape) for feature in features] != shapes:
        return "its last four levels do not have strides of 4, 8, 16 and 32"
    if not _accepts_changed_input(stages, x, features):
        return "no plain convolution reads the image, so color order and scale cannot be folded into weights"
    if not _folds(stages, x):
        return "a BatchNorm registered after a convolution does not follow it, so it cannot be folded"
    return None


def _accepts_changed_input(stages: nn.ModuleList, x: Tensor, expected: list[Tensor]) -> bool:
    """Whether the weights of the first convolutions can undo a change of color order and scale."""
    trial = copy.deepcopy(stages)
    scale = torch.tensor([0.5, 0.8, 1.5]).view(1, 3, 1, 1)
    swap_rgb_bgr(trial[0])
    for conv in image_convolutions(trial[0]):
        conv.weight.div_(scale)
    return _close(_run(trial, x.flip(1) * scale), expected)


def _folds(stages: nn.ModuleList, x: Tensor) -> bool:
    """Whether folding BatchNorm keeps the features; stage by stage, so that rounding does not grow."""
    trial = copy.deepcopy(stages)
    for norm in trial.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for statistic, value in ((norm.running_mean, 0.1), (norm.running_var, 1.25)):
                if statistic is not None:
                    statistic.fill_(value)
    for stage, folded in zip(trial, fold_batchnorm(trial).children(), strict=True):
        x, actual = stage(x), folded(x)
        if not _close([actual], [x]):
            return False
    return True


def _run(stages: nn.Module, x: Tensor) -> list[Tensor]:
    features = []
    for stage in stages.children():
        x = stage(x)
        features.append(x)
    return features


def _features_by_timm(model: nn.Module, name: str, x: Tensor) -> list[Tensor]:
    """timm's features with the same weights; raises when these cannot be transferred."""
    reference = timm.create_model(name, pretrained=False, features_only=True)
    renamed = {key.replace(".", "_"): value for key, value in model.state_dict().items()}
    reference.load_state_dict({key: renamed[key.replace(".", "_")] for key in reference.state_dict()})
    return list(reference.eval()(x))[-len(_STRIDES) :]


def _close(actual: list[Tensor], expected: list[Tensor]) -> bool:
    return all(
        a.shape == b.shape and float((a - b).abs().max()) <= 1e-3 * max(float(b.abs().max()), 1e-3)
        for a, b in zip(actual, expected, strict=True)
    )
