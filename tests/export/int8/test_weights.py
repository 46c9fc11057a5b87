"""INT8 weights and inputs: what a step keeps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dmdd_edge.export.int8.weights import channel_scales, fitted, on_grid, rounded, times_channels


def test_the_largest_weight_of_a_channel_is_127_steps() -> None:
    weight = torch.tensor([[0.5, -0.127], [2.0, 0.3]])[:, :, None, None]
    scales = channel_scales(weight)
    assert scales.tolist() == pytest.approx([0.5 / 127, 2.0 / 127], rel=1e-3)  # as half precision has them
    steps = rounded(weight)[:, :, 0, 0] / scales[:, None]
    assert steps.tolist() == [[127, -32], [127, 19]]


def test_a_filter_keeps_its_sum_to_half_a_step() -> None:
    torch.manual_seed(0)
    weight = torch.randn(4, 3, 3, 3)
    scales = channel_scales(weight)
    error = ((rounded(weight) - weight).sum((2, 3)).abs() / scales[:, None]).max()
    plain = (weight / scales[:, None, None, None]).round() * scales[:, None, None, None]
    assert error <= 0.51
    assert error < ((plain - weight).sum((2, 3)).abs() / scales[:, None]).max()


def test_weights_too_small_for_a_step_are_nothing() -> None:
    weight = torch.full((1, 2, 1, 1), 1e-6)
    assert channel_scales(weight).tolist() == [1.0]
    assert rounded(weight).tolist() == torch.zeros(1, 2, 1, 1).tolist()


def test_inputs_are_rounded_and_clipped() -> None:
    x = torch.tensor([0.0, 0.26, -0.74, 63.5, 64.0, -900.0])
    assert on_grid(x, 0.5).tolist() == [0.0, 0.5, -0.5, 63.5, 63.5, -63.5]


@pytest.mark.parametrize("groups", [1, 4])
def test_dividing_channels_and_multiplying_weights_changes_nothing(groups: int) -> None:
    torch.manual_seed(0)
    layer = nn.Conv2d(4, 4, 3, groups=groups)
    x, factors = torch.randn(1, 4, 5, 5), torch.tensor([1.0, 2.0, 0.5, 4.0])
    divided = x / factors[:, None, None]
    other = nn.Conv2d(4, 4, 3, groups=groups, bias=False)
    with torch.no_grad():
        other.weight.copy_(times_channels(layer, layer.weight, factors))
        assert layer.bias is not None
        torch.testing.assert_close(other(divided) + layer.bias[:, None, None], layer(x))


def test_fitted_weights_respond_to_their_inputs_better_than_rounded_ones() -> None:
    torch.manual_seed(0)
    inputs = torch.randn(500, 4) @ torch.randn(4, 12)  # twelve channels that depend on four
    weight = torch.randn(6, 12, 1, 1)
    scales = channel_scales(weight)
    found = fitted(weight, torch.cov(inputs.T).double())
    steps = found[..., 0, 0] / scales[:, None]
    torch.testing.assert_close(steps, steps.round(), atol=1e-3, rtol=0)
    assert steps.abs().amax(1).tolist() == pytest.approx([127] * 6)

    def error(rows: torch.Tensor) -> float:
        return float(((rows - weight).flatten(1) @ inputs.T).square().mean())

    assert error(found) < 0.3 * error(rounded(weight))
    alone = torch.eye(12, dtype=torch.float64)  # without dependence nothing makes up for an error
    assert torch.equal(fitted(weight, alone), rounded(weight))
