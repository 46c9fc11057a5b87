"""Density of the teacher's features: against scipy, and what becomes of it in head, choice and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.density import STAGES, FeatureDensity
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.scales import BRANCH_WEIGHTS, PROFILES, choose_weights, describe_choice, fit_head
from dmdd_edge.train.session import train

CHANNELS = (3, 5, 4, 6)
SIZE = 64


def features(seed: int, count: int = 4) -> list[Tensor]:
    """Of four stages, correlated, with a mean far from zero."""
    rng = np.random.default_rng(seed)
    made = []
    for channels, side in zip(CHANNELS, (16, 8, 4, 2), strict=True):
        mixing = np.random.default_rng(channels).normal(size=(channels, channels))
        values = rng.normal(size=(count, side, side, channels)) @ mixing + 20.0
        made.append(torch.from_numpy(values).float().permute(0, 3, 1, 2))
    return made


def rows(feature: Tensor) -> np.ndarray:
    return feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1]).double().numpy()


def test_lengths_are_mahalanobis_lengths_under_all_places_of_all_images() -> None:
    normal, other = features(1), features(2)
    density = FeatureDensity(CHANNELS)
    density.fit([[part[:1] for part in normal], [part[1:] for part in normal]])
    found = density(other)
    assert len(found) == STAGES
    for feature, seen, lengths in zip(other, normal, found, strict=False):
        covariance = np.cov(rows(seen), rowvar=False, bias=True)
        covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        expected = (
            cdist(
                rows(feature), rows(seen).mean(0, keepdims=True), "mahalanobis", VI=np.linalg.inv(covariance)
            )
            ** 2
            / feature.shape[1]
        )
        np.testing.assert_allclose(lengths.flatten().numpy(), expected.ravel(), rtol=2e-3)


def test_a_channel_that_never_changes_gives_no_infinity() -> None:
    normal = features(3)
    for feature in normal:
        feature[:, 0] = 7.0
    density = FeatureDensity(CHANNELS)
    density.fit([normal])
    assert all(torch.isfinite(lengths).all() for lengths in density(features(4)))


def test_a_surface_is_told_from_parts_that_always_lie_the_same_way() -> None:
    rng = np.random.default_rng(6)
    pattern = torch.from_numpy(rng.normal(size=(5, 8, 8))).float()

    def order(share: float) -> tuple[float, bool]:
        """Of features whose variance the place explains by this share."""
        made = features(7, count=30)
        noise = torch.from_numpy(rng.normal(size=(30, 5, 8, 8))).float()
        made[1] = share**0.5 * pattern + (1 - share) ** 0.5 * noise
        density = FeatureDensity(CHANNELS)
        density.fit([[part[:10] for part in made], [part[10:] for part in made]])
        return density.order, density.is_surface

    assert order(0.0) == (pytest.approx(0.0, abs=0.02), True)
    assert order(0.1) == (pytest.approx(0.1, abs=0.03), True)
    assert order(0.6) == (pytest.approx(0.6, abs=0.06), False)


def test_shares_of_map_and_score() -> None:
    head = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=SIZE, density="auto"))
    head.weigh((1.0, 2.0, 3.0, 4.0), 0.5, 0.25)
    of_branches = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.5, 1.0, 1.5, 2.0]) / 15
    torch.testing.assert_close(
        head.map_share, torch.cat([0.75 * of_branches, torch.zeros(6), torch.full((3,), 0.25 / 3)])
    )
    assert float(head.share[8:].sum()) == 0


def _maps(fine: Tensor, noise: Tensor) -> list[Tensor]:
    """Branches that see little but noise, by either length, and a density that sees the damage."""
    branches = [0.2 + noise[:, 0, ::step, ::step] for step in (4, 8, 16, 32)] * 2
    others = branches[:3] * 2
    return [
        *branches,
        *others,
        *(torch.nn.functional.adaptive_avg_pool2d(fine, side)[:, 0] for side in (16, 8, 4)),
    ]


@pytest.mark.slow
@pytest.mark.parametrize("outlined", [False, True])
def test_the_density_is_chosen_where_it_sees_more_and_the_part_fills_the_image(outlined: bool) -> None:
    rng = np.random.default_rng(5)
    normals = np.clip(rng.normal(120, 6, (4, SIZE, SIZE, 3)), 0, 255).astype(np.uint8)

    def distances(images: np.ndarray) -> list[Tensor]:
        away = torch.from_numpy(np.abs(images.astype(np.float32) - 120).mean(-1))[:, None] / 30
        generator = torch.Generator().manual_seed(len(images))
        return _maps(away, 0.2 * torch.rand(len(images), 1, SIZE, SIZE, generator=generator))

    head = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=SIZE, density="auto"))
    head.fit(torch.cat([head.peaks(head.stack(distances(normals)))]))
    part = np.zeros((SIZE, SIZE), np.bool_)
    part[8:56, 8:56] = True
    choice = choose_weights(head, distances, normals, [part if outlined else None] * 4)
    if outlined:
        assert choice.density == choice.lengths == 0
        assert "rarity" not in describe_choice(choice.facts())
    else:
        assert choice.density == 0.75
        assert "rarity of the features 75%" in describe_choice(choice.facts())
        assert float(head.map_share[14:].sum()) == pytest.approx(choice.density)
    assert choice.stages in PROFILES
    assert choice.abnormality in BRANCH_WEIGHTS


@pytest.mark.slow
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_a_run_keeps_the_density_that_it_chose_and_no_other(
    tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, share: float
) -> None:
    def fitted(head: ScaledHead, distances: Any, learnt: Any, *rest: Any, **more: Any) -> Any:
        choice = real(head, distances, learnt, *rest, **more)
        head.weigh(choice.stages, choice.abnormality, share)
        return type(choice)(choice.stages, choice.abnormality, [], choice.images, share)

    from dmdd_edge.train import head_phase

    real = fit_head
    monkeypatch.setattr(FeatureDensity, "is_surface", True)  # drawn plates are none
    monkeypatch.setattr(head_phase, "fit_head", fitted)
    outcome = train(
        tiny_config({"head": "scaled"}, steps=2),
        tmp_path / "run",
        Listener(),
        resume=False,
        tensorboard=False,
    )
    loaded = load_run(tmp_path / "run").model
    assert (loaded.density is not None) == (share > 0)
    assert outcome.run.model.head.channels == loaded.head.channels == (11 if share else 8)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image).maps, outcome.run.model(image).maps)
