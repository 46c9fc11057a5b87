"""INT8 weights and inputs: what a step keeps."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from dmdd_edge.export.int8.weights import channel_scales, computed, on_grid, rounded, times_channels


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
    with torch.no_grad():
        result = computed(layer, divided, times_channels(layer, layer.weight, factors))
        torch.testing.assert_close(result, layer(x))
