"""The study of scores: two of its candidates are the scores of the product."""

from __future__ import annotations

import pytest
import torch
from accuracy.other_scores import candidates, mixes

from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead


@torch.no_grad()
@pytest.mark.parametrize(
    ("name", "joined"), [("as it is", False), ("z at most 5, joined at each place", True)]
)
def test_a_candidate_is_the_score_of_the_product(name: str, joined: bool) -> None:
    head = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=64))
    stacked = 3.0 * torch.rand(6, 8, 16, 16, generator=torch.Generator().manual_seed(1))
    head.join_score(joined)
    z = candidates(head)[name](stacked)
    torch.testing.assert_close(0.5 + 0.5 * z / (z.abs() + 4.0), head.score(stacked))


def test_a_mix_is_the_mean_of_two_scores_on_one_scale() -> None:
    head = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=64))
    stacked = torch.rand(9, 8, 16, 16, generator=torch.Generator().manual_seed(2))
    with torch.no_grad():
        scores = {
            name: {where: score(stacked).numpy() for where in ("validation", "test")}
            for name, score in candidates(head).items()
        }
    for both in mixes(scores, held_out=9).values():
        assert both["validation"].shape == (9,)
        assert abs(float(both["validation"].mean())) < 1
