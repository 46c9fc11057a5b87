"""The score of the place where the maps together are highest, and when a run chooses it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dmdd_edge.train import scales, score_choice
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.score_choice import choose_score
from dmdd_edge.train.session import train

SIDE = 16


def scaled_head() -> ScaledHead:
    """With levels of 10 and spreads of 2, and peaks of six cells."""
    config = ModelConfig(backbone="timm:test_efficientnet", image_size=64, joined_score="auto")
    head = ScaledHead(config)
    head.level.fill_(10.0)
    head.spread.fill_(2.0)
    return head


def noise(count: int) -> Tensor:
    """Stacked maps below their levels, N x 8 x 16 x 16."""
    rng = np.random.default_rng(4)
    return torch.from_numpy(rng.uniform(7.0, 9.0, (count, 8, SIDE, SIDE))).float()


@torch.no_grad()
def test_the_joined_score_against_numpy() -> None:
    head = scaled_head()
    stacked = noise(5) + 8.0 * torch.rand(5, 8, SIDE, SIDE, generator=torch.Generator().manual_seed(1))
    by_peaks = head.score(stacked)
    head.join_score()
    weights = np.outer([1.0, 0.3], [1.0, 1.0, 2.0, 0.5]).ravel() / 5.85
    values = np.minimum((stacked.numpy() - 10.0) / 2.0, 5.0) * weights[:, None, None]
    z = np.sort(values.sum(1).reshape(5, -1), axis=1)[:, -head.peak_cells :].mean(1)
    np.testing.assert_allclose(head.score(stacked).numpy(), 0.5 + 0.5 * z / (np.abs(z) + 4), atol=1e-5)
    head.join_score(joined=False)
    assert torch.equal(head.score(stacked), by_peaks)
    assert "joined" not in head.state_dict()


@torch.no_grad()
@pytest.mark.parametrize("odd", [True, False])
def test_it_is_chosen_where_single_maps_make_good_images_stand_out(odd: bool) -> None:
    """Damage raises every map a little at one place; in odd good images one map alone is very high."""
    kinds = ["good"] * 20 + ["spot"] * 20
    stacked = noise(40)
    stacked[20:, :, 3:7, 3:7] += 6.0
    if odd:
        stacked[:20, 2, 10:14, 10:14] += 80.0
    head = scaled_head()
    assert choose_score(head, [stacked[:8], stacked[8:]], kinds) == (0.0, odd)
    assert head.joined_score is odd
    scores = head.score(stacked)
    assert float(scores[:20].max()) < float(scores[20:].min())


@pytest.mark.parametrize("better", [-100.0, 1.0])
def test_a_run_keeps_what_it_chose(
    tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, better: float
) -> None:
    monkeypatch.setattr(score_choice, "_BETTER", better)
    monkeypatch.setattr(scales, "_LEAST", 2)
    monkeypatch.setattr(scales, "_COUNT", 2)
    shape = {"head": "scaled", "density": "off", "prototypes": "off"}
    outcome = train(
        tiny_config(shape, steps=1), tmp_path / "run", Listener(), resume=False, tensorboard=False
    )
    loaded = load_run(tmp_path / "run")
    head = loaded.model.head
    assert isinstance(head, ScaledHead)
    assert loaded.info["map_weights"]["joined_score"] is head.joined_score is (better < 0)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(loaded.model(image).scores, outcome.run.model(image).scores)
