"""What the maps weigh in the anomaly map: chosen by synthetic damage, from normal images alone."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.sample.plate import Plate
from dmdd_edge.sample.write import draw
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.scales import (
    BRANCH_WEIGHTS,
    NEAR,
    PROFILES,
    MapChoice,
    Tried,
    choose_weights,
    describe_choice,
    first_near_the_best,
    fit_levels,
)

SIZE = 64
Maps = Callable[[NDArray[np.uint8]], list[Tensor]]


@pytest.fixture(scope="module")
def normals() -> NDArray[np.uint8]:
    plate = Plate(SIZE)
    return np.stack([draw(plate, 3, "train", index)[0] for index in range(4)])


def unlike(images: NDArray[np.uint8], normals: NDArray[np.uint8]) -> Tensor:
    """How far each pixel is from the nearest of the normal images, N x 1 x S x S, 0..2, never quite 0."""
    differences = np.abs(images[:, None].astype(np.float32) - normals[None]).mean(-1)
    nearest = differences.mean((2, 3)).argmin(1)
    return torch.from_numpy(differences[np.arange(len(images)), nearest])[:, None] / 128 + 0.01


def maps_of(fine: Tensor, coarse: Tensor) -> list[Tensor]:
    """Two branches of maps: two fine stages, two coarse ones."""
    return [F.adaptive_avg_pool2d(item, 16)[:, 0] for item in (fine, fine, coarse, coarse)] * 2


def chosen(
    normals: NDArray[np.uint8], distances: Maps, part: NDArray[np.bool_] | None = None, **model: Any
) -> tuple[MapChoice, ScaledHead]:
    head = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=SIZE, **model))
    fit_levels(head, distances, normals)
    return choose_weights(head, distances, normals, [part] * len(normals)), head


def share_of(choice: MapChoice) -> Tensor:
    weights = torch.tensor([*choice.stages, *(choice.abnormality * weight for weight in choice.stages)])
    return weights / weights.sum()


@pytest.mark.slow
def test_coarse_stages_that_only_spread_lose_their_weight(normals: NDArray[np.uint8]) -> None:
    """Fine maps are right; coarse ones are as high all over the image as the damage is strong."""

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(found, 0.3 * torch.rand_like(found) + found.amax((2, 3), keepdim=True))

    choice, head = chosen(normals, distances)
    assert choice.stages in PROFILES[2:]
    errors = [item.error for item in choice.tried[: len(PROFILES)]]
    assert errors[0] > (1 + NEAR) * min(errors)
    torch.testing.assert_close(head.map_share, share_of(choice))
    # The score weighs the stages as before.
    default = torch.tensor([*PROFILES[0], *(0.3 * weight for weight in PROFILES[0])])
    torch.testing.assert_close(head.share, default / default.sum())


@pytest.mark.slow
def test_coarse_stages_that_alone_see_the_damage_keep_it(normals: NDArray[np.uint8]) -> None:
    generator = torch.Generator().manual_seed(0)

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(torch.rand(found.shape, generator=generator) + 0.1, found)

    assert chosen(normals, distances)[0].stages == PROFILES[0]


@pytest.mark.slow
@pytest.mark.parametrize("sees", ["normality", "abnormality"])
def test_the_abnormality_branch_weighs_what_it_is_worth(normals: NDArray[np.uint8], sees: str) -> None:
    """One branch sees the damage, the other says anything at all."""
    generator = torch.Generator().manual_seed(0)

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        noise = 1000 ** torch.rand((len(images), 1, 16, 16), generator=generator) / 1000
        branches = (found, noise) if sees == "normality" else (noise, found)
        return [maps_of(item, item)[stage] for item in branches for stage in range(4)]

    choice, head = chosen(normals, distances)
    torch.testing.assert_close(head.map_share, share_of(choice))
    by_weight = {item.abnormality: item.error for item in choice.tried if item.stages == choice.stages}
    assert tuple(sorted(by_weight)) == BRANCH_WEIGHTS
    # The stages were tried with the first weight, which is not tried again.
    assert len(choice.tried) == len(PROFILES) + len(BRANCH_WEIGHTS) - 1
    if sees == "normality":
        assert choice.abnormality == BRANCH_WEIGHTS[0]
    else:
        assert choice.abnormality > BRANCH_WEIGHTS[0]
        assert by_weight[BRANCH_WEIGHTS[0]] > (1 + NEAR) * min(by_weight.values())


def tried(weight: float, error: float) -> Tried:
    return Tried(PROFILES[0], weight, 1 - error / 4, 1 - 3 * error / 4)


def test_the_first_is_taken_whose_error_is_near_the_least() -> None:
    best, near, far = tried(2.0, 0.0100), tried(1.0, 0.0104), tried(0.6, 0.0106)
    assert first_near_the_best([far, near, best], 0.05) is near
    assert first_near_the_best([far, best, near], 0.05) is best
    assert first_near_the_best([near, far], 0.05) is near
    assert first_near_the_best([far, near, best], 0.0) is best


def test_a_larger_error_may_fall_short_by_more() -> None:
    """The same shortfall counts where little is left to gain, and not where much is."""
    assert first_near_the_best([tried(0.6, 0.013), tried(1.0, 0.010)], 0.05).abnormality == 1.0
    assert first_near_the_best([tried(0.6, 0.103), tried(1.0, 0.100)], 0.05).abnormality == 0.6


def outlined_part() -> NDArray[np.bool_]:
    part = np.zeros((SIZE, SIZE), np.bool_)
    part[8:-8, 8:-8] = True
    return part


@pytest.mark.slow
@pytest.mark.parametrize(
    ("part", "taken"),
    [(None, 2), (np.ones((SIZE, SIZE), np.bool_), 2), (outlined_part(), 1)],
    ids=["everywhere", "all of the image", "outlined"],
)
def test_only_an_outline_is_a_reason_for_coarser_stages_than_the_best(
    normals: NDArray[np.uint8], monkeypatch: pytest.MonkeyPatch, part: NDArray[np.bool_] | None, taken: int
) -> None:
    errors = dict(zip(PROFILES, (0.0106, 0.0104, 0.0100, 0.0101, 0.0108), strict=True))

    def judged(head: ScaledHead, stages: tuple[float, ...], abnormality: float, *_: Any) -> Tried:
        return Tried(stages, abnormality, 1.0, 1.0 - errors[stages])

    monkeypatch.setattr("dmdd_edge.train.scales._try", judged)

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(found, found)

    choice, head = chosen(normals, distances, part)
    assert choice.stages == PROFILES[taken]
    torch.testing.assert_close(head.map_share, share_of(choice))


@pytest.mark.slow
def test_what_is_set_is_not_chosen(normals: NDArray[np.uint8]) -> None:
    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(found, found)

    stages = (1.0, 2.0, 1.0, 0.5)
    choice, head = chosen(normals, distances, stage_weights=stages)
    assert [item.abnormality for item in choice.tried] == list(BRANCH_WEIGHTS)
    assert choice.stages == stages
    torch.testing.assert_close(head.map_share, share_of(choice))
    choice, head = chosen(normals, distances, abnormality_weight=0.0)
    assert [item.stages for item in choice.tried] == list(PROFILES)
    assert choice.abnormality == 0
    torch.testing.assert_close(head.map_share, share_of(choice))


@pytest.mark.slow
def test_one_branch_alone_chooses_the_stages(normals: NDArray[np.uint8]) -> None:
    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(found, found)[:4]

    choice, head = chosen(normals, distances, branches="abnormality")
    assert [item.stages for item in choice.tried] == list(PROFILES)
    torch.testing.assert_close(head.map_share, torch.tensor(choice.stages) / sum(choice.stages))


@pytest.mark.slow
def test_equal_weights_leave_the_coarsest_and_the_smallest(normals: NDArray[np.uint8]) -> None:
    """Every map says the same, so no weights are better."""

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = F.adaptive_avg_pool2d(unlike(images, normals), 2)[:, 0]
        return [found] * 8

    choice, _ = chosen(normals, distances, outlined_part())
    assert choice.stages == PROFILES[0]
    assert choice.abnormality == BRANCH_WEIGHTS[0]
    assert max(item.pro for item in choice.tried) - min(item.pro for item in choice.tried) < 0.00025


def test_where_no_damage_can_be_seen_the_weights_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.train.validation.images.KINDS", {})
    normals = np.full((2, SIZE, SIZE, 3), 90, np.uint8)
    choice, _ = chosen(
        normals, lambda images: [torch.ones(len(images), side, side) for side in (16, 8, 4, 2)] * 2
    )
    assert choice == MapChoice(PROFILES[0], BRANCH_WEIGHTS[0], [], 0)


@pytest.mark.slow
def test_the_choice_is_the_same_again(normals: NDArray[np.uint8]) -> None:
    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(found, found)

    first, second = (chosen(normals, distances)[0] for _ in range(2))
    assert first == second
    assert first.images > 0
    assert first.facts()["tried"][0]["stages"] == PROFILES[0]
    told = describe_choice(first.facts())
    assert f"{first.images} images" in told
    assert f"abnormality branch {first.abnormality:g} " in told
