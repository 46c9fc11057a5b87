"""From distance maps to map and score: numpy, OpenCV and scipy as references, and the ablation switches."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
import pytest
import scipy.ndimage
import scipy.special
import scipy.stats
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.head import (
    GaussianSmoothing,
    ScaledHead,
    SegmentationHead,
    SumHead,
    anomaly_score,
    make_head,
)
from dmdd_edge.train.perception import MultiPerception, PyramidUpsampling

SIZE = 64
TINY = {"backbone": "timm:test_efficientnet", "image_size": SIZE}


def distances(branches: int = 2, seed: int = 0, count: int = 2) -> list[Tensor]:
    """Distance maps of so many branches, N x 16 x 16 to N x 2 x 2, 0..2."""
    generator = torch.Generator().manual_seed(seed)
    return [2 * torch.rand(count, s, s, generator=generator) for _ in range(branches) for s in (16, 8, 4, 2)]


def upsampled_mean(maps: list[Tensor], size: int) -> NDArray[np.float32]:
    """Mean of the maps, each resized by OpenCV (bilinear, half-pixel centres), N x size x size."""
    full = [
        [cv2.resize(image, (size, size), interpolation=cv2.INTER_LINEAR) for image in item.numpy()]
        for item in maps
    ]
    return np.mean(full, axis=0)


def config(**values: Any) -> ModelConfig:
    return ModelConfig(**{**TINY, **values})


def enlarged(maps: NDArray[np.float32]) -> NDArray[np.float32]:
    """N x s x s to N x S x S by OpenCV."""
    return np.stack([cv2.resize(m, (SIZE, SIZE), interpolation=cv2.INTER_LINEAR) for m in maps])


def largest(maps: NDArray[Any], count: int) -> NDArray[Any]:
    """Mean of the largest values of each map."""
    return np.sort(maps.reshape(len(maps), -1), axis=1)[:, -count:].mean(1)


@torch.no_grad()
@pytest.mark.parametrize(("stride", "side"), [(1, 64), (4, 16)])
@pytest.mark.parametrize("branches", ["both", "normality"])
def test_the_sum_head_is_half_the_mean_of_the_upsampled_maps(stride: int, side: int, branches: str) -> None:
    maps = distances(2 if branches == "both" else 1)
    head = make_head(config(head="sum", head_stride=stride, smoothing=0.0, branches=branches, top_k=30))
    found, scores = head(maps)
    expected = enlarged(upsampled_mean(maps, side) / 2)
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-5)
    np.testing.assert_allclose(scores.numpy(), largest(expected, 30), atol=1e-5)


@torch.no_grad()
def test_the_sum_heads_map_reaches_from_zero_to_one() -> None:
    head = make_head(config(head="sum"))
    opposite = [torch.full((1, s, s), 2.0) for s in (16, 8, 4, 2)] * 2
    torch.testing.assert_close(head(opposite)[0], torch.ones(1, SIZE, SIZE))


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 4])
def test_the_untrained_segmentation_head_is_the_plain_mean_through_a_sigmoid(stride: int) -> None:
    maps = distances()
    head = SegmentationHead(config(head="msn", head_stride=stride, smoothing=0.0, top_k=30))
    expected = enlarged(float(head.scale) * upsampled_mean(maps, SIZE // stride) + float(head.bias))
    np.testing.assert_allclose(head.logits(maps).numpy(), expected, atol=1e-4)
    assert float(head.scale) > 0
    found, scores = head(maps)
    np.testing.assert_allclose(found.numpy(), scipy.special.expit(expected), atol=1e-5)
    np.testing.assert_allclose(scores.numpy(), largest(scipy.special.expit(expected), 30), atol=1e-5)


def peaks_of(maps: list[Tensor], side: int, sigma: float, cells: int) -> NDArray[np.float64]:
    """Mean of the largest values of each smoothed map, N x K, and the smoothed maps themselves, by scipy."""
    return np.stack([largest(item, cells) for item in smoothed(maps, side, sigma)], axis=1)


def smoothed(maps: list[Tensor], side: int, sigma: float) -> list[NDArray[np.float64]]:
    return [
        scipy.ndimage.gaussian_filter(
            upsampled_mean([item], side).astype(np.float64), (0, sigma, sigma), mode="nearest", truncate=3.0
        )
        for item in maps
    ]


@torch.no_grad()
@pytest.mark.parametrize("branches", ["both", "abnormality"])
def test_the_scaled_head_against_numpy(branches: str) -> None:
    """Its scales from twenty normal images, then map and score of others by its own description."""
    count = 2 if branches == "both" else 1
    head = make_head(config(head="scaled", branches=branches, smoothing=4.0, top_k=100))
    assert isinstance(head, ScaledHead)
    normal = [item * (0.1 + index) for index, item in enumerate(distances(count, seed=1, count=20))]
    head.fit(head.peaks(head.stack(normal)))
    expected_peaks = peaks_of(normal, 16, 1.0, 6)  # 100 pixels of the input are 6 cells of 4 x 4
    level, spread = expected_peaks.mean(0), expected_peaks.std(0, ddof=1)
    spread = np.maximum(spread, 0.05 * level)
    np.testing.assert_allclose(head.level.numpy(), level, rtol=1e-4)
    np.testing.assert_allclose(head.spread.numpy(), spread, rtol=1e-3)

    maps = [item * (0.1 + index) for index, item in enumerate(distances(count, seed=2))]
    found, scores = head(maps)
    relative = np.stack([m / p + 0.03 for m, p in zip(smoothed(maps, 16, 1.0), level, strict=True)])
    weights = np.outer([1.0, 0.3][:count], [1.0, 1.0, 2.0, 0.5]).ravel()
    mean = scipy.stats.gmean(relative, axis=0, weights=weights[:, None, None, None] * np.ones_like(relative))
    np.testing.assert_allclose(found.numpy(), enlarged(mean / (mean + 2)), atol=1e-4)
    z = np.average((peaks_of(maps, 16, 1.0, 6) - level) / spread, axis=1, weights=weights)
    np.testing.assert_allclose(scores.numpy(), 0.5 + 0.5 * z / (np.abs(z) + 4), atol=1e-3)

    # Other weights for the map: a stage of weight 0 has no say, and the score stays.
    head.weigh((3.0, 1.0, 0.5, 0.0), 2.0)
    found, same = head(maps)
    weights = np.outer([1.0, 2.0][:count], [3.0, 1.0, 0.5, 0.0]).ravel()
    mean = scipy.stats.gmean(relative, axis=0, weights=weights[:, None, None, None] * np.ones_like(relative))
    np.testing.assert_allclose(found.numpy(), enlarged(mean / (mean + 2)), atol=1e-4)
    assert torch.equal(same, scores)


@torch.no_grad()
def test_the_scaled_head_stays_in_range_and_rises_with_the_distance() -> None:
    head = ScaledHead(config(head="scaled"))
    normal = distances(seed=3, count=8)
    head.fit(head.peaks(head.stack(normal)))
    assert float(head(normal)[1].mean()) == pytest.approx(0.5, abs=0.02)
    before = -1.0
    for factor in (0.0, 0.5, 1.0, 2.0, 100.0):
        found, scores = head([item * factor for item in normal])
        assert 0.0 <= float(found.min()) <= float(found.max()) <= 1.0
        assert 0.0 <= float(scores.min()) <= float(scores.max()) <= 1.0
        assert float(scores[0]) > before
        before = float(scores[0])


@torch.no_grad()
@pytest.mark.parametrize("count", [1, 3])
def test_scales_of_few_or_equal_images_are_numbers(count: int) -> None:
    """One image has no spread, equal images have none, and maps of zeros have no level."""
    for one in (distances(count=1), [torch.zeros(1, s, s) for s in (16, 8, 4, 2)] * 2):
        head = ScaledHead(config(head="scaled"))
        maps = [item.expand(count, -1, -1) for item in one]
        head.fit(head.peaks(head.stack(maps)))
        assert float(head.level.min()) > 0
        assert float(head.spread.min()) > 0
        found, scores = head(maps)
        assert torch.isfinite(found).all()
        assert torch.isfinite(scores).all()


@torch.no_grad()
@pytest.mark.parametrize("top_down", [True, False])
def test_pyramid_upsampling_starts_as_the_identity(top_down: bool) -> None:
    maps = [item[:, None] for item in distances(1)]
    for out, own in zip(PyramidUpsampling(top_down)(maps), maps, strict=True):
        assert torch.equal(out, own)


@torch.no_grad()
@pytest.mark.parametrize(("top_down", "expected"), [(True, [10, 9, 7, 4]), (False, [1, 3, 6, 10])])
def test_pyramid_upsampling_adds_up_along_its_path(top_down: bool, expected: list[int]) -> None:
    fusion = PyramidUpsampling(top_down)
    for layer in fusion.neighbour:
        layer.weight[0, 0, 1, 1] = 1.0
    maps = [torch.full((1, 1, s, s), float(v)) for v, s in ((1, 16), (2, 8), (3, 4), (4, 2))]
    assert [round(float(out.mean()), 4) for out in fusion(maps)] == expected


@torch.no_grad()
def test_pyramid_upsampling_going_up_averages_the_finer_map() -> None:
    fusion = PyramidUpsampling(top_down=False)
    fusion.neighbour[0].weight[0, 0, 1, 1] = 1.0
    maps = [item[:, None] for item in distances(1)]
    fine = maps[0].numpy()[:, 0].reshape(2, 8, 2, 8, 2).mean((2, 4))
    np.testing.assert_allclose(fusion(maps)[1][:, 0].numpy(), maps[1][:, 0].numpy() + fine, atol=1e-6)


@torch.no_grad()
def test_multi_perception_against_numpy() -> None:
    torch.manual_seed(0)
    layer = MultiPerception(8, 5)
    for parameter in layer.parameters():
        nn.init.normal_(parameter, std=0.7)
    x = torch.randn(2, 8, 5, 5)
    p = {name: value.numpy().astype(np.float64) for name, value in layer.named_parameters()}
    a = x.numpy().astype(np.float64)

    def mlp(v: NDArray[np.float64]) -> NDArray[np.float64]:
        hidden = np.maximum(v @ p["channel.0.weight"].T + p["channel.0.bias"], 0)
        return hidden @ p["channel.2.weight"].T + p["channel.2.bias"]

    a = a * 2 * scipy.special.expit(mlp(a.mean((2, 3))) + mlp(a.max((2, 3))))[:, :, None, None]
    summary = np.stack([a.max(1), a.mean(1)], 1)
    kernel = p["spatial.weight"][0]
    spatial = np.stack(
        [
            sum(scipy.ndimage.correlate(s, k, mode="constant") for s, k in zip(item, kernel, strict=True))
            for item in summary
        ]
    )
    a = a * 2 * scipy.special.expit(spatial + p["spatial.bias"])[:, None]
    expected = (a * scipy.special.softmax(p["weights"], axis=1)).sum(1, keepdims=True)
    np.testing.assert_allclose(layer(x).numpy(), expected, atol=1e-5, rtol=1e-4)


@torch.no_grad()
def test_the_global_attention_parameter_weighs_each_place_by_itself() -> None:
    layer = MultiPerception(2, 2)
    layer.weights[0, 0, 0, 0] = 50.0  # all on the first channel here
    layer.weights[0, 1, 1, 1] = 50.0  # and all on the second there
    x = torch.stack([torch.full((2, 2), 4.0), torch.full((2, 2), 8.0)])[None]
    assert layer(x)[0, 0].tolist() == [[4.0, 6.0], [6.0, 8.0]]


@pytest.mark.parametrize("top_k", [1, 7, 100])
def test_the_score_is_the_mean_of_the_largest_values(top_k: int) -> None:
    maps = np.random.default_rng(2).random((3, 12, 11)).astype(np.float32)
    expected = np.sort(maps.reshape(3, -1), axis=1)[:, -top_k:].mean(1)
    np.testing.assert_allclose(anomaly_score(torch.from_numpy(maps), top_k).numpy(), expected, rtol=1e-5)


@pytest.mark.parametrize("sigma", [0.5, 1.0, 2.3, 4.0])
def test_smoothing_is_scipys_gaussian(sigma: float) -> None:
    x = np.random.default_rng(3).random((2, 3, 20, 17)).astype(np.float32)
    expected = scipy.ndimage.gaussian_filter(x, (0, 0, sigma, sigma), mode="nearest", truncate=3.0)
    np.testing.assert_allclose(GaussianSmoothing(sigma)(torch.from_numpy(x)).numpy(), expected, atol=1e-5)


def test_no_smoothing_passes_through() -> None:
    x = torch.rand(1, 1, 8, 8)
    assert GaussianSmoothing(0.0)(x) is x


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 4])
def test_the_width_of_the_smoothing_is_in_pixels_of_the_input(stride: int) -> None:
    """A point far from the border spreads with the stated sigma at full size, wherever the filter runs."""
    head = make_head(config(head="sum", head_stride=stride, smoothing=4.0))
    maps = [torch.zeros(1, s, s) for s in (16, 8, 4, 2)] * 2
    maps[0][0, 8, 8] = 1.0
    out = head(maps)[0][0].double().numpy()
    rows = out.sum(1) / out.sum()
    y = np.arange(SIZE)
    mean = (rows * y).sum()
    assert mean == pytest.approx(8.5 * 4 - 0.5, abs=0.01)
    # Bilinear upsampling of a cell of 4 pixels adds the triangle's variance, 4^2 / 6, to that of the filter.
    assert (rows * (y - mean) ** 2).sum() == pytest.approx(4.0**2 + 4.0**2 / 6, rel=0.08)


@torch.no_grad()
def test_switches_of_the_ablation() -> None:
    def parts(**values: Any) -> SegmentationHead:
        return SegmentationHead(config(head="msn", **values))

    def is_there(head: SegmentationHead, kind: type[nn.Module]) -> int:
        return sum(isinstance(module, kind) for module in head.modules())

    full = parts()
    assert is_there(full, PyramidUpsampling) == 2
    assert is_there(full, MultiPerception) == 1
    assert is_there(parts(pyramid_upsampling=False), PyramidUpsampling) == 0
    assert is_there(parts(multi_perception=False), MultiPerception) == 0
    assert [fusion.order for fusion in full.fusion] == [[3, 2, 1, 0], [0, 1, 2, 3]]
    assert [f.order for f in parts(branches="normality").fusion] == [[3, 2, 1, 0]]
    assert [f.order for f in parts(branches="abnormality").fusion] == [[0, 1, 2, 3]]
    kinds = {kind: type(make_head(config(head=kind))) for kind in ("scaled", "sum", "msn")}
    assert kinds == {"scaled": ScaledHead, "sum": SumHead, "msn": SegmentationHead}
    for kind in ("scaled", "sum"):
        assert not list(make_head(config(head=kind)).parameters())

    without = parts(multi_perception=False, pyramid_upsampling=False)
    assert sorted(name for name, _ in without.named_parameters()) == ["bias", "scale"]
    maps = distances(seed=6)
    torch.testing.assert_close(without.logits(maps), full.logits(maps), atol=1e-4, rtol=1e-4)


def test_every_part_of_the_head_learns() -> None:
    """A zero start must not stop the gradient: after three steps each parameter has moved."""
    torch.manual_seed(0)
    head = SegmentationHead(config(head="msn"))
    before = {name: value.clone() for name, value in head.named_parameters()}
    optimizer = torch.optim.Adam(head.parameters(), 1e-2)
    for seed in range(3):
        optimizer.zero_grad()
        head.logits(distances(seed=seed)).square().mean().backward()
        optimizer.step()
    still = [name for name, value in head.named_parameters() if torch.equal(value, before[name])]
    assert still == []
