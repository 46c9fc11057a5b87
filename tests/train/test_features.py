"""The teacher's features of the normals: kept in half precision or computed anew, the same either way."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.features import TeacherFeatures, to_input
from dmdd_edge.train.model import DMDD

CPU = torch.device("cpu")
IMAGES = np.random.default_rng(0).integers(0, 256, (19, 64, 64, 3), np.uint8)  # more than one chunk
INDEX = np.array([18, 3, 0, 3])


@pytest.fixture(scope="module")
def model() -> DMDD:
    torch.manual_seed(0)
    config = ModelConfig(backbone="timm:test_efficientnet", image_size=64)
    return DMDD(config, pretrained=False).eval()


def features(model: DMDD, budget_mb: int | None) -> TeacherFeatures:
    return TeacherFeatures(model.teacher, model.normalize, IMAGES, CPU, budget_mb=budget_mb)


@torch.no_grad()
def expected(model: DMDD) -> list[Tensor]:
    images = torch.from_numpy(IMAGES[INDEX].astype(np.float32)).permute(0, 3, 1, 2)
    found: list[Tensor] = model.teacher((images - model.normalize.mean) / model.normalize.std)
    return found


def test_input_is_the_images_with_channels_first() -> None:
    tensor = to_input(IMAGES[:2], CPU)
    assert tensor.dtype == torch.uint8
    assert np.array_equal(tensor.numpy(), IMAGES[:2].transpose(0, 3, 1, 2))
    assert tensor.is_contiguous(memory_format=torch.channels_last)


def test_kept_features_agree_to_half_precision(model: DMDD) -> None:
    kept = features(model, None)
    assert kept.cached is not None
    for ours, exact in zip(kept.of(INDEX), expected(model), strict=True):
        assert ours.dtype == torch.float32
        # Half precision keeps eleven bits of each value.
        torch.testing.assert_close(ours, exact, rtol=2**-11, atol=1e-4)


def test_without_a_budget_they_are_computed_anew(model: DMDD) -> None:
    fresh = features(model, 0)
    assert fresh.cached is None
    for ours, exact in zip(fresh.of(INDEX), expected(model), strict=True):
        torch.testing.assert_close(ours, exact, rtol=1e-4, atol=1e-5)


def test_the_memory_needed_is_two_bytes_a_value(model: DMDD) -> None:
    values = sum(c * side * side for c, side in zip((24, 32, 48, 64), (16, 8, 4, 2), strict=True))
    needed = 19 * values * 2 / 2**20
    assert features(model, 0).needed_mb == pytest.approx(needed)
    assert needed < 1
    assert features(model, 1).cached is not None


def test_progress_counts_the_images(model: DMDD) -> None:
    seen: list[int] = []
    TeacherFeatures(model.teacher, model.normalize, IMAGES, CPU, budget_mb=99, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 19
