"""What smoothing noise does to an image, and that no network sees an image without it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from dmdd_edge.train.checkpoint import read_config
from dmdd_edge.train.config import ModelConfig, make_config
from dmdd_edge.train.denoise import Denoise
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.synthesis import nuisances
from tests.export.detectors import TINY


def even(value: float = 120.0, size: int = 32) -> Tensor:
    return torch.full((1, 3, size, size), value)


def test_noise_on_an_even_surface_becomes_less() -> None:
    torch.manual_seed(0)
    noisy = even() + 1.5 * torch.randn(1, 3, 32, 32)
    assert float(Denoise(3.0)(noisy).std()) < 0.5 * float(noisy.std())


def test_what_differs_by_more_is_moved_by_the_levels_alone() -> None:
    image = even()
    image[..., 16:, :] = 180.0
    image[..., 8, 8] = 60.0
    smoothed = Denoise(3.0)(image)
    assert float((smoothed - image).abs().max()) == pytest.approx(3.0, abs=1e-3)
    assert float(smoothed[0, 0, 16, 5] - smoothed[0, 0, 15, 5]) == pytest.approx(54.0, abs=1e-3)
    assert float(smoothed[0, 0, 8, 8]) == pytest.approx(63.0, abs=1e-3)


@pytest.mark.parametrize("value", [0.0, 255.0])
def test_an_even_image_stays_as_it_is_to_its_border(value: float) -> None:
    torch.testing.assert_close(Denoise(3.0)(even(value)), even(value), atol=1e-3, rtol=0)


def test_gray_values_stay_in_their_range() -> None:
    torch.manual_seed(0)
    image = (torch.randint(0, 2, (2, 1, 32, 32)).float() * 255).expand(-1, 3, -1, -1)
    smoothed = Denoise(20.0)(image)
    assert -1e-3 <= float(smoothed.min()) < float(smoothed.max()) <= 255 + 1e-3


def test_color_is_that_of_the_neighborhood_and_brightness_stays_sharp() -> None:
    image = even()
    image[0, :, 16, 16] = torch.tensor([60.0, 80.0, 200.0])
    smoothed = Denoise(2.0)(image)
    luma = torch.tensor([0.114, 0.587, 0.299])
    before, after = ((luma * each[0, :, 16, 16]).sum() for each in (image, smoothed))
    assert float((after - before).abs()) == pytest.approx(2.0, abs=1e-3)
    red = smoothed[0, 2] - smoothed[0, 1]
    assert red[14:19, 14:19].numpy() == pytest.approx(np.full((5, 5), (200 - 80) / 25), abs=1e-3)
    assert float(red[16, 19].abs()) < 1e-3


def test_traces_of_jpeg_become_less_and_what_is_seen_stays() -> None:
    rng = np.random.default_rng(0)
    image = np.full((64, 64, 3), (150, 120, 90), np.uint8)
    image[20:44, 30:34] = (60, 60, 70)
    compressed = nuisances.jpeg(image, 85, rng)
    before, traces, smoothed, clean = (
        np.asarray(each, np.float32) for each in (image, compressed, smooth(compressed), smooth(image))
    )
    beside = np.s_[16:48, [*range(20, 29), *range(35, 44)]]
    left = np.abs(smoothed[beside] - clean[beside]).mean()
    assert left < 0.7 * np.abs(traces[beside] - before[beside]).mean()
    assert np.abs(clean[32, 31] - clean[32, 10]).min() > 14


def smooth(image: np.ndarray) -> np.ndarray:
    changed = Denoise(3.0)(torch.from_numpy(image).permute(2, 0, 1)[None].float())
    return changed[0].permute(1, 2, 0).numpy()


def test_the_networks_see_smoothed_images_only() -> None:
    model = DMDD(ModelConfig(backbone=TINY, image_size=64, denoise=3.0), pretrained=False)
    images = torch.randint(0, 256, (1, 3, 64, 64), dtype=torch.uint8)
    expected = (Denoise(3.0)(images.float()) - model.normalize.mean) / model.normalize.std
    assert torch.equal(model.normalize(images), expected)
    assert DMDD(ModelConfig(backbone=TINY, image_size=64), pretrained=False).normalize.denoise is None


def test_edge_smooths_and_paper_does_not() -> None:
    assert [
        make_config(recipe, data=Path("data"), category="plate").model.denoise for recipe in ("edge", "paper")
    ] == [2.0, 0.0]


def test_a_run_of_before_is_not_smoothed(tiny_outcome: Any, tmp_path: Path) -> None:
    config = json.loads((tiny_outcome.run.folder / "config.json").read_text())
    assert config["model"].pop("denoise") == 2.0
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert read_config(tmp_path).model.denoise == 0.0
