"""The usual feature at each place: when there is one, its length, and what map, score, run and graph keep."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.train import scales, score_choice
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.place_features import STAGE, PlaceFeatures
from dmdd_edge.train.scales import PLACE_SHARES, Tried, choose_place_share
from dmdd_edge.train.session import train
from tests.export.detectors import random_images

CHANNELS = (3, 5, 4, 6)


def features(count: int, *, same_places: bool = True, seed: int = 0) -> list[Tensor]:
    """Four stages of good images, whose places look each like itself, or like any other."""
    rng = np.random.default_rng(seed)
    fixed = np.random.default_rng(99)
    found = []
    for channels, side in zip(CHANNELS, (16, 8, 4, 2), strict=True):
        place = fixed.normal(5.0, 3.0, (1, channels, side, side)) if same_places else 5.0
        mixed = np.einsum("nchw,cd->ndhw", rng.normal(size=(count, channels, side, side)), _mixing(channels))
        found.append(torch.from_numpy(place + mixed).float())
    return found


def _mixing(channels: int) -> np.ndarray:
    return np.random.default_rng(7).normal(size=(channels, channels))


def fitted(count: int = 40) -> PlaceFeatures:
    parts = features(count)
    half = count // 2
    made = PlaceFeatures.fitted([[part[:half] for part in parts], [part[half:] for part in parts]])
    assert made is not None
    return made


def test_lengths_are_those_of_the_residual_covariance() -> None:
    seen, other = features(40), features(3, seed=5)
    rows = (seen[STAGE] - seen[STAGE].mean(0)).transpose(0, 1).flatten(1).double().numpy()
    covariance = rows @ rows.T / rows.shape[1]
    covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
    apart = (other[STAGE] - seen[STAGE].mean(0)).double().numpy()
    expected = np.einsum("nchw,cd,ndhw->nhw", apart, np.linalg.inv(covariance), apart) / CHANNELS[STAGE]
    np.testing.assert_allclose(fitted()(other).numpy(), expected, rtol=1e-3)


def test_a_usual_feature_at_another_place_is_unusual() -> None:
    module, other = fitted(), features(6, seed=3)
    assert 0.7 < float(module(other).mean()) < 1.4
    other[STAGE] = other[STAGE].roll(1, dims=3)
    assert float(module(other).mean()) > 3


def test_where_any_place_may_look_like_any_other_there_is_none() -> None:
    assert PlaceFeatures.fitted([features(40, same_places=False)]) is None
    assert PlaceFeatures.fitted([[torch.ones_like(part) for part in features(8)]]) is None


def scaled_head() -> ScaledHead:
    return ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=64, prototypes="auto"))


def test_the_share_of_the_map_stays_when_other_weights_change() -> None:
    head = scaled_head()
    head.usual_share = 0.25
    head.weigh((1.0, 1.0, 1.0, 0.0), 0.6)
    assert float(head.map_share[-1]) == pytest.approx(0.25)
    assert float(head.map_share.sum()) == pytest.approx(1)
    assert float(head.map_share[0] / head.map_share[4]) == pytest.approx(1 / 0.6)


@pytest.mark.parametrize(
    ("errors", "share"),
    [((0.1, 0.1, 0.1), 0.5), ((0.2, 0.1, 0.1), 0.25), ((0.2, 0.15, 0.1), 0.0), ((0.104, 0.1, 0.3), 0.5)],
)
def test_the_share_of_the_map_follows_what_finds_made_damage(errors: tuple[float, ...], share: float) -> None:
    head = scaled_head()

    def tried(found: float) -> Tried:
        return Tried((1.0, 1.0, 2.0, 0.5), 0.3, 1.0, 1.0 - found)

    chosen = choose_place_share(
        head, tried(errors[-1]), lambda weights: tried(errors[PLACE_SHARES.index(head.usual_share)])
    )
    assert chosen == head.usual_share == share


def test_a_run_of_many_images_keeps_what_it_chose(
    tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_choice, "SHARES", (0.5,))
    monkeypatch.setattr(scales, "PLACE_SHARES", (0.25,))
    monkeypatch.setattr("dmdd_edge.train.model.FEW", 2)
    config = tiny_config({"head": "scaled"}, steps=1)
    run = train(config, tmp_path / "run", Listener(), resume=False, tensorboard=False).run
    assert isinstance(run.model.prototypes, PlaceFeatures)
    assert run.info["map_weights"]["place"] == 0.25
    said = (tmp_path / "run" / "train.log").read_text()
    assert "distance to the usual feature at the same place 25% of the map, 50% of the score" in said
    with torch.no_grad():
        _same_after_loading_and_in_the_graph(run, tmp_path / "run")


def _same_after_loading_and_in_the_graph(run: Any, folder: Path) -> None:
    images = random_images(3)
    expected = run.model.eval()(torch.from_numpy(images).permute(0, 3, 1, 2))
    loaded = load_run(folder).model
    found = loaded(torch.from_numpy(images).permute(0, 3, 1, 2))
    torch.testing.assert_close(found.maps, expected.maps)
    torch.testing.assert_close(found.scores, expected.scores)
    for half, limit in ((False, 1e-4), (True, 2e-2)):
        maps, scores = DeploymentGraph(loaded, half=half)(torch.from_numpy(images))
        torch.testing.assert_close(maps, expected.maps, atol=limit, rtol=0)
        torch.testing.assert_close(scores, expected.scores, atol=limit, rtol=0)


def test_where_it_does_not_help_nothing_of_it_is_left(
    tiny_config: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(score_choice, "SHARES", (0.0,))
    monkeypatch.setattr(scales, "PLACE_SHARES", (0.0,))
    monkeypatch.setattr("dmdd_edge.train.model.FEW", 2)
    config = tiny_config({"head": "scaled", "density": "off"}, steps=1)
    run = train(config, tmp_path / "run", Listener(), resume=False, tensorboard=False).run
    assert run.model.prototypes is None
    assert run.model.head.channels == 8
