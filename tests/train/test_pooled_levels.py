"""Levels from trained and held-out images, and what a held-out image gains from having set them."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.pooled_levels import Peaks, gains_without_own

#: Cells along a map's side, all of which have one value here.
CELLS = 4


def a_head() -> ScaledHead:
    return ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=64, branches="normality"))


def even(peaks: Tensor) -> Tensor:
    """Maps that are the same all over, n x K to n x K x s x s."""
    return peaks[:, :, None, None].expand(-1, -1, CELLS, CELLS)


Values = NDArray[np.float64]


def by_hand(trained: Values, own: Values, image: Values, share: Values) -> float:
    """The score of an image whose peaks are these, with levels from the others."""
    count = len(own)
    level = (count * own.mean(0) + 20 * trained.mean(0)) / (count + 20)
    squares = ((own - own.mean(0)) ** 2).sum(0)
    spread = np.sqrt((squares + 20 * trained.var(0, ddof=1)) / (count - 1 + 20))
    z = float(((image - level) / np.maximum(spread, 0.05 * level) * share).sum())
    return 0.5 + 0.5 * z / (abs(z) + 4)


def test_levels_are_pooled_with_a_weight_of_twenty_for_the_trained_images() -> None:
    trained = torch.tensor([[1.0, 10.0], [3.0, 10.0]])
    level, deviation = Peaks(trained, torch.tensor([[4.0, 10.0]] * 20)).levels()
    assert level.tolist() == pytest.approx([3.0, 10.0])  # as far from 2 as from 4
    assert deviation.tolist() == pytest.approx([(20 * 2 / 39) ** 0.5, 0.0])


@pytest.mark.parametrize("held_out", [None, torch.zeros(0, 2)])
def test_without_held_out_images_the_trained_ones_alone_give_the_levels(held_out: Tensor | None) -> None:
    trained = torch.tensor([[1.0, 5.0], [3.0, 6.0], [5.0, 7.0]])
    level, deviation = Peaks(trained, held_out).levels()
    assert level.tolist() == pytest.approx([3.0, 6.0])
    assert deviation.tolist() == pytest.approx([2.0, 1.0])


def test_one_held_out_image_has_no_spread_and_leaves_that_of_the_others() -> None:
    trained = torch.tensor([[1.0], [3.0], [5.0]])
    peaks = Peaks(trained, torch.tensor([[24.0]]))
    assert [float(each) for each in peaks.levels()] == pytest.approx([4.0, 2.0])
    assert [float(each) for each in peaks.levels(without=0)] == pytest.approx([3.0, 2.0])


@pytest.mark.parametrize("size", [1, 3, 7])
def test_a_gain_leads_to_the_score_with_the_levels_of_the_others(size: int) -> None:
    head, generator = a_head(), torch.Generator().manual_seed(0)
    trained, own = (1 + torch.rand(count, 4, generator=generator) ** 3 for count in (30, 7))
    peaks = Peaks(trained, own)
    head.set_levels(*peaks.levels())
    before = head.level.clone(), head.spread.clone()
    scores = head.score(even(own)).numpy()
    gains = gains_without_own(head, even(own).split(size), peaks)
    learnt, held, share = (each.double().numpy() for each in (trained, own, head.share))
    expected = [by_hand(learnt, np.delete(held, i, 0), held[i], share) for i in range(7)]
    assert (scores + np.array(gains)).tolist() == pytest.approx(expected, abs=1e-5)
    assert max(gains) > 0.001
    assert torch.equal(head.level, before[0])
    assert torch.equal(head.spread, before[1])


def test_the_promise_of_the_threshold_is_kept_only_with_the_gains() -> None:
    """A student that knows its images: theirs spread a tenth as far as others, of which few are odd."""
    head, generator = a_head(), torch.Generator().manual_seed(3)
    trained = 1 + 0.01 * torch.randn(60, 4, generator=generator)
    count, above, above_without = 6, [], []
    for _ in range(400):
        normals = 1 + 0.1 * torch.randn(count + 40, 4, generator=generator).abs() ** 3
        peaks = Peaks(trained, normals[:count])
        head.set_levels(*peaks.levels())
        scores = head.score(even(normals)).numpy()
        gains = gains_without_own(head, [even(normals[:count])], peaks)
        raised = threshold_from_normals((scores[:count] + np.array(gains)).tolist()).image
        above.append((scores[count:] > raised).mean())
        above_without.append((scores[count:] > scores[:count].max()).mean())
    promised = 1 / (count + 1)
    assert 0.6 * promised < np.mean(above) < 1.05 * promised
    assert np.mean(above_without) > 1.15 * promised
