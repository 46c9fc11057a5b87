"""Whether a timm model can serve as a backbone: what the trainer and the export rely on, tried on an image.

timm names the modules at which its features arise, not how they hang together. So each assumption is tried
once, with random weights; a model that breaks one is refused instead of giving other features in silence.
"""

from __future__ import annotations

import copy

import timm
import torch
from torch import Tensor, nn

from dmdd_edge.train.fold import fold_batchnorm

#: Side of the image that is tried.
_SIDE = 128
_STRIDES = (4, 8, 16, 32)


def image_convolutions(first_stage: nn.Module) -> list[nn.Conv2d]:
    """The convolutions that read the image: one in most backbones, several side by side in RepVGG's kind."""
    return [conv for conv in first_stage.modules() if isinstance(conv, nn.Conv2d) and conv.in_channels == 3]


@torch.no_grad()
def swap_rgb_bgr(first_stage: nn.Module) -> None:
    """Make weights for RGB images weights for BGR images, in place, or the other way round."""
    for conv in image_convolutions(first_stage):
        conv.weight.copy_(conv.weight.flip(1))


@torch.no_grad()
def objection(model: nn.Module, stages: nn.ModuleList, channels: list[int], name: str) -> str | None:
    """Why the stages cut from a timm model cannot be used; None when they can.

    Args:
        model: the whole model, whose modules the stages are.
        stages: four modules to be run one after the other.
        channels: channels of their outputs.
        name: the model's name in timm.
    """
    x = torch.randn(1, 3, _SIDE, _SIDE, generator=torch.Generator().manual_seed(0))
    model.eval()
    try:
        found = _run(stages, x)
        same = _close(found, _features_by_timm(model, name, x))
    except Exception:  # what a wrongly cut network raises depends on its modules
        same = False
    if not same:
        return "it does not run its modules one after the other, so it has no stages to cut"
    shapes = [(1, c, _SIDE // stride, _SIDE // stride) for c, stride in zip(channels, _STRIDES, strict=True)]
    if [tuple(feature.shape) for feature in found] != shapes:
        return "its last four levels are not channels x S/4, S/8, S/16 and S/32 in size"
    if not _takes_changes_of_the_input(stages, x, found):
        return "it has no plain convolution that reads the image, into which color order and scale could go"
    if not _folds(stages, x):
        return "a BatchNorm registered behind a convolution does not follow it, so it cannot be folded"
    return None


def _takes_changes_of_the_input(stages: nn.ModuleList, x: Tensor, expected: list[Tensor]) -> bool:
    """Whether a change of color order and scale can be undone in the weights of the first convolutions."""
    trial = copy.deepcopy(stages)
    scale = torch.tensor([0.5, 0.8, 1.5]).view(1, 3, 1, 1)
    swap_rgb_bgr(trial[0])
    for conv in image_convolutions(trial[0]):
        conv.weight.div_(scale)
    return _close(_run(trial, x.flip(1) * scale), expected)


def _folds(stages: nn.ModuleList, x: Tensor) -> bool:
    """Whether folded BatchNorm gives the same; stage by stage, so that rounding does not grow."""
    trial = copy.deepcopy(stages)
    for norm in trial.modules():
        if isinstance(norm, nn.BatchNorm2d):
            for statistic, value in ((norm.running_mean, 0.1), (norm.running_var, 1.25)):
                if statistic is not None:
                    statistic.fill_(value)
    for stage, folded in zip(trial, fold_batchnorm(trial).children(), strict=True):
        x, found = stage(x), folded(x)
        if not _close([found], [x]):
            return False
    return True


def _run(stages: nn.Module, x: Tensor) -> list[Tensor]:
    found = []
    for stage in stages.children():
        x = stage(x)
        found.append(x)
    return found


def _features_by_timm(model: nn.Module, name: str, x: Tensor) -> list[Tensor]:
    """timm's own features with the same weights; an error when they cannot be carried over."""
    reference = timm.create_model(name, pretrained=False, features_only=True)
    renamed = {key.replace(".", "_"): value for key, value in model.state_dict().items()}
    reference.load_state_dict({key: renamed[key.replace(".", "_")] for key in reference.state_dict()})
    return list(reference.eval()(x))[-len(_STRIDES) :]


def _close(found: list[Tensor], expected: list[Tensor]) -> bool:
    return all(
        a.shape == b.shape and float((a - b).abs().max()) <= 1e-3 * max(float(b.abs().max()), 1e-3)
        for a, b in zip(found, expected, strict=True)
    )
