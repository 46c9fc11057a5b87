"""Rounding to half precision that keeps each filter's sum."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dmdd_edge.export.half import rounded_keeping_sums, to_half


def test_values_by_hand() -> None:
    """Half holds steps of 1/1024 between 1 and 2, and of 1/2048 between 1/2 and 1."""
    step = 1 / 1024
    weight = torch.tensor([[[[1 + 0.4 * step, 0.5 + 0.4 * step], [0.25, 0.0]]]])
    # 1.0004 rounds to 1 and passes 0.4 steps on; 0.5 + 0.8 steps rounds to 0.5 + 1 step and owes 0.2 steps;
    # 0.25 - 0.2 steps rounds to 0.25 - 0.25 steps, and what is left, 0.05 steps, zero can hold.
    found = rounded_keeping_sums(weight)
    expected = torch.tensor([[[[1.0, 0.5 + step], [0.25 - 0.25 * step, 0.05 * step]]]])
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-7)


@pytest.mark.parametrize("shape", [(32, 1, 3, 3), (8, 3, 3, 3), (4, 2, 5, 5), (16, 1, 7, 1)])
def test_sums_are_kept_and_weights_stay_near(shape: tuple[int, ...]) -> None:
    weight = torch.randn(shape, generator=torch.Generator().manual_seed(0)) * 0.3
    found = rounded_keeping_sums(weight)
    assert found.dtype == torch.float32
    assert torch.equal(found.half().float(), found)
    plain = weight.half().float()

    def sum_error(x: torch.Tensor) -> float:
        return float((x.double() - weight.double()).sum((2, 3)).abs().mean())

    assert sum_error(found) < 0.15 * sum_error(plain)
    largest = weight.abs().amax((2, 3), keepdim=True)
    assert bool(((found - weight).abs() <= 2.0**-10 * largest).all())


@torch.no_grad()
def test_a_smooth_image_gives_what_it_gave() -> None:
    torch.manual_seed(0)
    network = nn.Sequential(nn.Conv2d(8, 8, 3, groups=8), nn.ReLU(), nn.Conv2d(8, 4, 1))
    smooth = torch.full((1, 8, 6, 6), 3.7)
    expected = network[0].double()(smooth.double())
    network.float()
    plain = nn.functional.conv2d(
        smooth.double(), network[0].weight.half().double(), network[0].bias.half().double(), groups=8
    )
    bias = network[0].bias.half().double()
    to_half(network)
    assert {p.dtype for p in network.parameters()} == {torch.float16}
    kept = nn.functional.conv2d(smooth.double(), network[0].weight.double(), bias, groups=8)
    assert float((kept - expected).abs().mean()) < 0.5 * float((plain - expected).abs().mean())
