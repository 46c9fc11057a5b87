"""BatchNorm folded into convolutions: the same outputs in evaluation mode."""

from __future__ import annotations

import copy

import pytest
import torch
from torch import nn

from dmdd_edge.train.backbones import build_backbone
from dmdd_edge.train.fold import fold_batchnorm
from dmdd_edge.train.pmn import PyramidModelingNetwork


@torch.no_grad()
def with_lived_in_statistics(module: nn.Module) -> nn.Module:
    """As after training: every BatchNorm has statistics and an affine part of its own."""
    generator = torch.Generator().manual_seed(0)

    def draw(like: torch.Tensor, low: float, high: float) -> torch.Tensor:
        return low + (high - low) * torch.rand(like.shape, generator=generator)

    for norm in module.modules():
        if isinstance(norm, nn.BatchNorm2d):
            norm.running_mean.copy_(draw(norm.running_mean, -0.5, 0.5))
            norm.running_var.copy_(draw(norm.running_var, 0.3, 2.0))
            norm.weight.copy_(draw(norm.weight, -1.5, 1.5))
            norm.bias.copy_(draw(norm.bias, -0.5, 0.5))
    return module.eval()


def relative(found: torch.Tensor, expected: torch.Tensor) -> float:
    return float((found - expected).abs().max() / expected.abs().max())


@torch.no_grad()
@pytest.mark.parametrize(
    "name", ["resnet18", "efficientnet_lite0", "timm:mobilenetv3_small_050", "timm:resnet10t"]
)
def test_a_folded_backbone_gives_the_same_features(name: str) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        backbone = with_lived_in_statistics(build_backbone(name, pretrained=name == "efficientnet_lite0"))
        x = torch.randn(2, 3, 64, 64)
    before = copy.deepcopy(backbone.state_dict())
    expected = backbone(x)
    folded = fold_batchnorm(backbone)
    for ours, theirs in zip(folded(x), expected, strict=True):
        assert relative(ours, theirs) < 1e-4
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    # The original is left as it was, and still has its own.
    assert all(torch.equal(value, before[key]) for key, value in backbone.state_dict().items())
    assert any(isinstance(module, nn.BatchNorm2d) for module in backbone.modules())


@torch.no_grad()
@pytest.mark.parametrize("kind", ["dense", "separable", "depthwise", "mixed"])
def test_a_folded_pmn_gives_the_same_features(kind: str) -> None:
    torch.manual_seed(1)
    channels = [8, 12, 16, 20]
    net = with_lived_in_statistics(
        PyramidModelingNetwork(channels, "abnormality", "full", kind, residual=False)
    )  # type: ignore[arg-type]
    given = [torch.randn(1, c, 16 >> i, 16 >> i) for i, c in enumerate(channels)]
    folded = fold_batchnorm(net)
    for ours, theirs in zip(folded(given), net(given), strict=True):
        assert relative(ours, theirs) < 1e-4
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())


@torch.no_grad()
def test_values_by_hand() -> None:
    conv, norm = nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1, eps=0.0)
    conv.weight.fill_(3.0)
    conv.bias.fill_(1.0)
    norm.running_mean.fill_(2.0)
    norm.running_var.fill_(4.0)
    norm.weight.fill_(5.0)
    norm.bias.fill_(7.0)
    folded = fold_batchnorm(nn.Sequential(conv, norm))[0]
    assert isinstance(folded, nn.Conv2d)
    assert folded.weight.item() == pytest.approx(7.5)  # 3 * 5 / sqrt(4)
    assert folded.bias is not None
    assert folded.bias.item() == pytest.approx(4.5)  # (1 - 2) * 5 / 2 + 7


@torch.no_grad()
def test_what_cannot_be_folded_stays() -> None:
    """A BatchNorm before its convolution, or one without statistics of its own, is left alone."""
    before = with_lived_in_statistics(nn.Sequential(nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3, padding=1)))
    without = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4, track_running_stats=False)).eval()
    x = torch.randn(3, 4, 6, 6)
    for net in (before, without):
        folded = fold_batchnorm(net)
        torch.testing.assert_close(folded(x), net(x))
        assert any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
