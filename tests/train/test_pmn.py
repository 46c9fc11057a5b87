"""The Pyramid Modeling Network: which stage reaches which, values by hand, 1 x 1 before or after resizing."""

from __future__ import annotations

from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmdd_edge.train.pmn import Downward, PyramidModelingNetwork

CHANNELS = [3, 4, 5, 6]
#: A stage j reaches these outputs i, by the direction of a path.
TOP_DOWN = {(i, j) for i in range(4) for j in range(4) if j >= i}
BOTTOM_UP = {(i, j) for i in range(4) for j in range(4) if j <= i}
EVERY = {(i, j) for i in range(4) for j in range(4)}
ITSELF = {(i, i) for i in range(4)}


def features(seed: int, channels: list[int] = CHANNELS, side: int = 16) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, c, side >> i, side >> i, generator=generator) for i, c in enumerate(channels)]


def network(
    branch: Any, paths: Any, kind: Any = "dense", *, residual: bool, channels: list[int] = CHANNELS
) -> PyramidModelingNetwork:
    """With random weights, also where it starts at zero."""
    torch.manual_seed(0)
    net = PyramidModelingNetwork(channels, branch, paths, kind, residual=residual).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
    return net


@torch.no_grad()
def reach(net: nn.Module) -> set[tuple[int, int]]:
    """Pairs (output, input stage) where a change of the stage changes the output."""
    base, other = features(0), features(1)
    before = net(base)
    found = set()
    for j in range(4):
        after = net([other[k] if k == j else base[k] for k in range(4)])
        found |= {(i, j) for i in range(4) if not torch.equal(before[i], after[i])}
    return found


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize("kind", ["dense", "separable", "depthwise", "mixed"])
@pytest.mark.parametrize(
    ("branch", "paths", "expected"),
    [
        ("normality", "none", ITSELF),
        ("abnormality", "none", ITSELF),
        ("normality", "inner", TOP_DOWN),
        ("abnormality", "inner", BOTTOM_UP),
        ("normality", "full", EVERY),
        ("abnormality", "full", EVERY),
    ],
)
def test_which_stage_reaches_which_output(
    branch: str, paths: str, kind: str, residual: bool, expected: set[Any]
) -> None:
    assert reach(network(branch, paths, kind, residual=residual)) == expected


@pytest.mark.parametrize("residual", [True, False])
@pytest.mark.parametrize(
    ("branch", "inner", "outer"), [("normality", TOP_DOWN, BOTTOM_UP), ("abnormality", BOTTOM_UP, TOP_DOWN)]
)
def test_the_outer_path_comes_back_the_other_way(branch: str, inner: Any, outer: Any, residual: bool) -> None:
    for silent, expected in ((1, inner), (0, outer)):
        net = network(branch, "full", residual=residual)
        for step in net.paths[silent].steps:  # nothing of the neighbour comes through
            nn.init.zeros_(step.project[-1].weight)
        assert reach(net) == expected


def test_without_paths_features_pass_unchanged() -> None:
    given = features(0)
    for out, own in zip(network("normality", "none", residual=False)(given), given, strict=True):
        assert torch.equal(out, own)
    assert not list(network("abnormality", "none", residual=False).parameters())


@torch.no_grad()
@pytest.mark.parametrize("kind", ["dense", "separable", "depthwise", "mixed"])
def test_a_residual_network_starts_with_nothing_to_add(kind: Any) -> None:
    given = features(0)
    for branch in ("normality", "abnormality"):
        net = PyramidModelingNetwork(CHANNELS, branch, "full", kind, residual=True).eval()  # type: ignore[arg-type]
        for out, own in zip(net(given), given, strict=True):
            assert torch.equal(out, own)


@torch.no_grad()
@pytest.mark.parametrize("kind", ["dense", "separable", "depthwise", "mixed"])
def test_values_by_hand(kind: Any) -> None:
    """Every convolution takes the middle value with weight 1, so that constant features give sums."""

    def found(branch: Any, paths: Any, *values: float, residual: bool = False) -> list[float]:
        net = network(branch, paths, kind, residual=residual, channels=[1, 1, 1, 1])
        for layer in net.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.zeros_(layer.weight)
                middle = layer.kernel_size[0] // 2
                layer.weight[:, :, middle, middle] = 1.0
            if isinstance(layer, nn.BatchNorm2d):
                nn.init.ones_(layer.weight)
        given = [torch.full((1, 1, 8 >> i, 8 >> i), float(v)) for i, v in enumerate(values)]
        return [round(float(out.mean()), 1) for out in net(given)]

    # A path adds up on its way.
    assert found("normality", "inner", 1, 2, 3, 4) == [10, 9, 7, 4]
    assert found("abnormality", "inner", 1, 2, 3, 4) == [1, 3, 6, 10]
    assert found("normality", "full", 1, 2, 3, 4) == [10, 19, 26, 30]
    assert found("abnormality", "full", 1, 2, 3, 4) == [20, 19, 16, 10]
    # Only the last path may end below zero: 4, 7, relu(-20 + 7), 1 on the way down, then back up.
    assert found("normality", "inner", 1, -20, 3, 4) == [-12, -13, 7, 4]
    assert found("normality", "full", 1, -20, 3, 4) == [1, 1, 8, 12]
    # With the way around: 4, then own + relu(own + previous) = 3 + (3 + 4), 2 + (2 + 10), 1 + (1 + 14).
    assert found("normality", "inner", 1, 2, 3, 4, residual=True) == [16, 14, 10, 4]
    assert found("abnormality", "inner", 1, 2, 3, 4, residual=True) == [1, 5, 11, 19]
    assert found("normality", "inner", 1, -20, 3, 4, residual=True) == [1, -20, 10, 4]


@pytest.mark.parametrize("kind", ["dense", "separable", "depthwise", "mixed"])
@pytest.mark.parametrize(
    "channels", [[24, 40, 112, 320], [64, 128, 256, 512], [8, 16, 24, 288]], ids=["lite0", "resnet18", "v3"]
)
def test_shapes_stay_for_the_backbones_channels(channels: list[int], kind: Any) -> None:
    given = features(0, channels)
    for branch in ("normality", "abnormality"):
        out = network(branch, "full", kind, residual=False, channels=channels)(given)
        assert [f.shape for f in out] == [f.shape for f in given]


@torch.no_grad()
def test_projecting_before_upsampling_is_the_same_as_after() -> None:
    torch.manual_seed(3)
    step = Downward(6, 5).eval()
    norm = step.project[1]
    for values in (norm.weight, norm.bias, norm.running_mean):
        values.uniform_(-1, 1)
    norm.running_var.uniform_(0.5, 2)
    coarse, fine = torch.randn(2, 6, 4, 4), torch.randn(2, 5, 8, 8)
    after = step.project(F.interpolate(coarse, size=(8, 8), mode="bilinear", align_corners=False))
    torch.testing.assert_close(step(coarse, fine), after, atol=1e-5, rtol=1e-5)
