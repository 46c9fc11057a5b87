"""Equal brightness: how well the factor is found, when it is not looked for, and what a run keeps of it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray

from dmdd_edge.train.brightness import LIMIT, Brightness
from dmdd_edge.train.synthesis import nuisances
from tests.train.drawn_bolts import write_bolts

Image = NDArray[np.uint8]
SIZE = 64


def parts(count: int, *, background: int = 160, noise: float = 3.0, seed: int = 0) -> Image:
    """Gray blocks of three levels on an even background, with a sensor's noise."""
    rng = np.random.default_rng(seed)
    scene = np.full((SIZE, SIZE, 3), float(background))
    scene[16:48, 12:52] = 90
    scene[24:40, 20:30] = 40
    scene[24:40, 34:44] = (60, 120, 150)
    images = scene + noise * rng.standard_normal((count, SIZE, SIZE, 3))
    return images.round().clip(0, 255).astype(np.uint8)


def tensor(images: Image) -> torch.Tensor:
    return torch.from_numpy(images).permute(0, 3, 1, 2).float()


def fitted(images: Image) -> Brightness:
    brightness = Brightness(images.shape[1])
    assert brightness.fit(images) is None
    return brightness


def lit(images: Image, gain: float) -> Image:
    return nuisances.changed(images, nuisances.light, gain, 0)


@pytest.mark.parametrize("gain", [0.82, 0.9, 0.97, 1.1, 1.2])
@pytest.mark.parametrize("background", [20, 160, 235, 255])
def test_other_light_is_taken_back(gain: float, background: int) -> None:
    brightness = fitted(parts(20, background=background))
    images = parts(6, background=background, seed=1)
    before = brightness.changed(images).astype(np.float32)
    after = brightness.changed(lit(images, gain)).astype(np.float32)
    part = np.s_[:, 16:48, 12:52]
    assert np.abs(after - before)[part].mean() < 1.5
    assert np.abs(lit(images, gain).astype(np.float32) - images)[part].mean() > 2


def test_an_unchanged_good_image_stays_as_it_is() -> None:
    brightness = fitted(parts(20))
    factors = brightness.factor(tensor(parts(10, seed=1)))
    torch.testing.assert_close(factors, torch.ones(10), atol=0.005, rtol=0)


@pytest.mark.parametrize("value", [0, 255])
def test_a_defect_hardly_changes_the_factor(value: int) -> None:
    brightness = fitted(parts(20))
    images = parts(4, seed=2)
    images[:, 8:32, 8:36] = value  # a sixth of the image
    torch.testing.assert_close(brightness.factor(tensor(images)), torch.ones(4), atol=0.02, rtol=0)


def test_what_is_overexposed_stays_white() -> None:
    brightness = fitted(parts(20, background=253))
    seen = brightness.changed(lit(parts(4, background=253, seed=1), 1.15))
    assert seen[:, :12].min() > 250
    assert abs(seen[:, 17:22, 14:50].mean() - 90) < 2


def test_what_is_too_dark_stays_too_dark() -> None:
    brightness = fitted(parts(20))
    images = parts(4, seed=2)
    seen = brightness.changed(lit(images, 0.5)).astype(np.float32)
    np.testing.assert_allclose(seen, lit(images, 0.5) * LIMIT, atol=1)


def test_images_without_any_light_give_finite_values() -> None:
    brightness = fitted(parts(20))
    for value in (0, 255):
        found = brightness(tensor(np.full((1, SIZE, SIZE, 3), value, np.uint8)))
        assert torch.isfinite(found).all()
        assert float(found.max()) <= 255


def test_a_frame_and_ignored_pixels_say_nothing_about_the_light() -> None:
    images, others = parts(20), parts(4, seed=3)
    for some in (images, others):
        some[:, :16] = 127
        some[:, 56:] = 127
    brightness = fitted(images)
    darker = lit(others, 0.9)
    darker[:, :16] = darker[:, 56:] = 127
    ratio = brightness.factor(tensor(darker)) / brightness.factor(tensor(others))
    torch.testing.assert_close(ratio, torch.full((4,), 1 / 0.9), atol=0.01, rtol=0)


def test_images_of_very_different_brightness_keep_theirs() -> None:
    levels = np.random.default_rng(0).integers(30, 220, (20, 1, 1, 3))
    images = np.broadcast_to(levels, (20, SIZE, SIZE, 3)).astype(np.uint8)
    reason = Brightness(SIZE).fit(images)
    assert reason == "the brightness of the good images differs too much"


def test_few_images_keep_their_brightness() -> None:
    assert Brightness(SIZE).fit(parts(7)) == "fewer than 8 images"


def test_switched_off_images_keep_their_brightness(tiny_config: Callable[..., Any], tmp_path: Path) -> None:
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.train.listener import Listener
    from dmdd_edge.train.trainer import Trainer

    config = tiny_config(
        {"head": "sum", "brightness": "off"}, data=write_bolts(tmp_path / "data"), category="bolt", steps=1
    )
    run = Trainer(config, load_category(config.data, "bolt"), tmp_path / "run", Listener()).run()
    assert run.model.brightness is None
    assert run.info["brightness"] == {"changed": False, "reason": "switched off"}
