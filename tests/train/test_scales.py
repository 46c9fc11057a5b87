"""Which stages make the map: chosen by made damage, from normal images alone."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.plate import Plate
from dmdd_edge.sample import draw
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.scales import PROFILES, TOLERANCE, StageChoice, choose_stages, fit_levels

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


def chosen(normals: NDArray[np.uint8], distances: Maps) -> tuple[StageChoice, ScaledHead]:
    head = ScaledHead(ModelConfig(backbone="timm:test_efficientnet", image_size=SIZE))
    fit_levels(head, distances, normals)
    return choose_stages(head, distances, normals, [None] * len(normals)), head


def test_coarse_stages_that_only_spread_lose_their_weight(normals: NDArray[np.uint8]) -> None:
    """Fine maps are right; coarse ones are as high all over the image as the damage is strong."""

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(found, 0.3 * torch.rand_like(found) + found.amax((2, 3), keepdim=True))

    choice, head = chosen(normals, distances)
    assert choice.stages in PROFILES[2:]
    figures = [item.pixel_auroc + item.pro for item in choice.tried]
    assert figures[0] < max(figures) - TOLERANCE
    weights = torch.tensor([*choice.stages, *(0.3 * weight for weight in choice.stages)])
    torch.testing.assert_close(head.map_share, weights / weights.sum())
    # The score weighs the stages as before.
    default = torch.tensor([*PROFILES[0], *(0.3 * weight for weight in PROFILES[0])])
    torch.testing.assert_close(head.share, default / default.sum())


def test_coarse_stages_that_alone_see_the_damage_keep_it(normals: NDArray[np.uint8]) -> None:
    generator = torch.Generator().manual_seed(0)

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(torch.rand(found.shape, generator=generator) + 0.1, found)

    assert chosen(normals, distances)[0].stages == PROFILES[0]


def test_equal_profiles_leave_the_coarsest(normals: NDArray[np.uint8]) -> None:
    """Every stage says the same, so no profile is better."""

    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = F.adaptive_avg_pool2d(unlike(images, normals), 2)[:, 0]
        return [found] * 8

    choice, _ = chosen(normals, distances)
    assert choice.stages == PROFILES[0]
    assert max(item.pro for item in choice.tried) - min(item.pro for item in choice.tried) < TOLERANCE / 10


def test_where_no_damage_can_be_seen_the_stages_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("dmdd_edge.train.validation.images.KINDS", {})
    normals = np.full((2, SIZE, SIZE, 3), 90, np.uint8)
    choice, _ = chosen(
        normals, lambda images: [torch.ones(len(images), side, side) for side in (16, 8, 4, 2)] * 2
    )
    assert choice == StageChoice(PROFILES[0], [], 0)


def test_the_choice_is_the_same_again(normals: NDArray[np.uint8]) -> None:
    def distances(images: NDArray[np.uint8]) -> list[Tensor]:
        found = unlike(images, normals)
        return maps_of(found, found)

    first, second = (chosen(normals, distances)[0] for _ in range(2))
    assert first == second
    assert first.images > 0
    assert first.facts()["tried"][0]["stages"] == PROFILES[0]
    assert f"{first.images} images" in first.describe()
