"""The other length of the branches' differences: against scipy, in head, choice and run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from scipy.spatial.distance import cdist
from torch import Tensor

from dmdd_edge.data.datasets import GOOD
from dmdd_edge.train.branch_lengths import STAGES, BranchLengths
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.density import FeatureDensity
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.listener import Listener
from dmdd_edge.train.scales import describe_choice, fit_head, surface_shares
from dmdd_edge.train.session import train

CHANNELS = (3, 5, 4, 6)
BRANCHES = ("normality", "abnormality")
SIZE = 64


def features(seed: int, count: int = 4) -> list[Tensor]:
    rng = np.random.default_rng(seed)
    made = []
    for channels, side in zip(CHANNELS, (16, 8, 4, 2), strict=True):
        mixing = np.random.default_rng(channels).normal(size=(channels, channels))
        values = rng.normal(size=(count, side, side, channels)) @ mixing + 5.0
        made.append(torch.from_numpy(values).float().permute(0, 3, 1, 2))
    return made


def rows(feature: Tensor) -> np.ndarray:
    return feature.permute(0, 2, 3, 1).reshape(-1, feature.shape[1]).double().numpy()


def test_lengths_are_mahalanobis_lengths_of_the_differences() -> None:
    teacher, student = features(1), {"normality": features(2), "abnormality": features(3)}
    module = BranchLengths(CHANNELS, BRANCHES)
    halves = [slice(0, 1), slice(1, 4)]
    module.fit(
        ([f[half] for f in teacher], {name: [f[half] for f in of] for name, of in student.items()})
        for half in halves
    )
    other, of_other = features(4), {"normality": features(5), "abnormality": features(6)}
    found = module(other, of_other)
    assert len(found) == 2 * STAGES
    for index, lengths in enumerate(found):
        branch, stage = BRANCHES[index // STAGES], index % STAGES
        seen = rows(teacher[stage] - student[branch][stage])
        covariance = np.cov(seen, rowvar=False, bias=True)
        covariance += 0.01 * np.trace(covariance) / len(covariance) * np.eye(len(covariance))
        differences = rows(other[stage] - of_other[branch][stage])
        expected = (
            cdist(
                differences, seen.mean(0, keepdims=True), "mahalanobis", VI=np.linalg.inv(covariance)
            ).ravel()
            ** 2
        )
        np.testing.assert_allclose(lengths.flatten().numpy(), expected / CHANNELS[stage], rtol=2e-3)


def head(**values: Any) -> ScaledHead:
    shape = {"backbone": "timm:test_efficientnet", "image_size": SIZE, "density": "auto", **values}
    return ScaledHead(ModelConfig(**shape))


def test_shares_of_the_map() -> None:
    made = head()
    made.weigh((1.0, 2.0, 3.0, 4.0), 0.5, 0.25, 0.4)
    cosine = torch.tensor([1.0, 2.0, 3.0, 4.0, 0.5, 1.0, 1.5, 2.0]) / 15
    other = torch.tensor([1.0, 2.0, 3.0, 0.5, 1.0, 1.5]) / 9
    expected = torch.cat([0.75 * 0.6 * cosine, 0.75 * 0.4 * other, torch.full((3,), 0.25 / 3)])
    torch.testing.assert_close(made.map_share, expected)
    assert float(made.share[8:].sum()) == 0


def test_one_branch_has_one_branchs_maps() -> None:
    made = head(branches="abnormality", prototypes="auto")
    assert (made.branch_maps, made.length_maps, made.density_maps, made.channels) == (4, 3, 3, 11)
    made.weigh((1.0, 1.0, 1.0, 1.0), 1.0, 0.0, 1.0)
    torch.testing.assert_close(made.map_share, torch.tensor([0.0] * 4 + [1 / 3] * 3 + [0.0] * 4))


@pytest.mark.parametrize("dropped", [("lengths",), ("density",), ("lengths", "density", "prototypes")])
def test_dropped_maps_leave_the_others_where_they_were(dropped: tuple[str, ...]) -> None:
    made = head(prototypes="auto")
    names = ["branch"] * 8 + ["lengths"] * 6 + ["density"] * 3 + ["prototypes"]
    made.level.copy_(torch.arange(18.0))
    for name in dropped:
        getattr(made, f"drop_{name}")()
    kept = [index for index, name in enumerate(names) if name not in dropped]
    assert made.level.tolist() == kept
    assert made.channels == len(kept)


def test_only_maps_that_the_head_has_are_tried_the_most_of_both_first() -> None:
    made = head()
    everything = surface_shares(made)
    assert everything[0] == (0.75, 0.5)
    assert everything[-1] == (0.0, 0.0)
    assert len(everything) == 8
    made.drop_density()
    assert surface_shares(made) == [(0.0, 0.5), (0.0, 0.0)]
    made.drop_lengths()
    assert surface_shares(made) == [(0.0, 0.0)]


@pytest.mark.slow
@pytest.mark.parametrize(("share", "channels"), [(0.0, 8), (0.5, 14)])
def test_a_run_keeps_the_lengths_that_it_chose_and_no_others(
    tiny_config: Callable[..., Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    share: float,
    channels: int,
) -> None:
    def fitted(head: ScaledHead, distances: Any, learnt: Any, *rest: Any, **more: Any) -> Any:
        choice = real(head, distances, learnt, *rest, **more)
        head.weigh(choice.stages, choice.abnormality, 0.0, share)
        return type(choice)(choice.stages, choice.abnormality, [], choice.images, 0.0, 0.0, share)

    from dmdd_edge.train import head_phase

    real = fit_head
    monkeypatch.setattr(FeatureDensity, "is_surface", True)  # drawn plates are none
    monkeypatch.setattr(head_phase, "fit_head", fitted)
    config = tiny_config({"head": "scaled", "density": "auto"}, steps=2)
    outcome = train(config, tmp_path / "run", Listener(), resume=False, tensorboard=False)
    loaded = load_run(tmp_path / "run").model
    assert (loaded.lengths is not None) == (share > 0)
    assert loaded.density is None
    assert outcome.run.model.head.channels == loaded.head.channels == channels
    assert ("Mahalanobis" in describe_choice(outcome.run.info["map_weights"])) == (share > 0)
    image = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    with torch.no_grad():
        torch.testing.assert_close(loaded(image).maps, outcome.run.model(image).maps)


def test_the_kinds_that_bring_something_foreign_exist() -> None:
    from dmdd_edge.train.scales import FOREIGN
    from dmdd_edge.train.validation.damage import KINDS

    assert set(FOREIGN) < set(KINDS)
    assert GOOD not in FOREIGN
