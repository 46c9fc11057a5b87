"""The deployment graph against the trained module, for every shape of the model that a switch can make."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from dmdd_edge.export.graph import DeploymentGraph, Distances
from dmdd_edge.train.distance import cosine_distance
from dmdd_edge.train.model import DMDD
from tests.export.detectors import TINY, detector, random_images

#: Changes of the model, each of which shapes the graph.
SWITCHES: dict[str, dict[str, Any]] = {
    "as it is": {},
    "lite0": {"backbone": "efficientnet_lite0", "pretrained": True},
    "resnet18": {"backbone": "resnet18"},
    "two convolutions on the image": {"backbone": "timm:repvgg_a0"},
    "normality": {"branches": "normality"},
    "abnormality": {"branches": "abnormality"},
    "no pmn": {"pmn": "none"},
    "inner pmn": {"pmn": "inner"},
    "abnormality, no pmn": {"branches": "abnormality", "pmn": "none"},
    "dense pmn": {"pmn_conv": "dense"},
    "not residual": {"residual": False},
    "scaled maps at full size": {"head_stride": 1},
    "sum": {"head": "sum"},
    "sum at full size": {"head": "sum", "head_stride": 1},
    "sum of one branch": {"head": "sum", "branches": "normality"},
    "msn": {"head": "msn"},
    "msn of one branch": {"head": "msn", "branches": "abnormality"},
    "msn at full size": {"head": "msn", "head_stride": 1},
    "no pyramid upsampling": {"head": "msn", "pyramid_upsampling": False},
    "no multi-perception": {"head": "msn", "multi_perception": False},
    "no smoothing": {"smoothing": 0.0},
    "wide smoothing": {"smoothing": 9.0},
    "top 7": {"top_k": 7},
    "denoised": {"denoise": 3.0},
    "density": {"density": "auto"},
    "density of lite0": {"density": "auto", "backbone": "efficientnet_lite0", "pretrained": True},
    "density of a normality branch": {"density": "auto", "branches": "normality"},
    "prototypes": {"prototypes": "auto"},
    "joined score": {"prototypes": "auto", "joined_score": "auto"},
    "prototypes and density": {"prototypes": "auto", "density": "auto"},
    "prototypes, one branch": {"prototypes": "auto", "branches": "abnormality"},
    "prototypes and density of an abnormality branch": {
        "prototypes": "auto",
        "density": "auto",
        "branches": "abnormality",
    },
}


@torch.no_grad()
def both(
    model: DMDD, graph: nn.Module, count: int = 2
) -> tuple[tuple[Tensor, Tensor], tuple[Tensor, Tensor]]:
    """Map and score of the graph on NHWC bytes, and of the model on the same images."""
    images = torch.from_numpy(random_images(count))
    expected = model(images.permute(0, 3, 1, 2))
    return graph(images), (expected.maps, expected.scores)


@pytest.mark.slow
@pytest.mark.parametrize("name", SWITCHES)
def test_the_graph_is_the_trained_module(name: str) -> None:
    model = detector(**SWITCHES[name])
    (maps, scores), (expected_maps, expected_scores) = both(model, DeploymentGraph(model))
    assert maps.dtype == scores.dtype == torch.float32
    assert maps.shape == (2, 64, 64)
    # The model says something that a wrong graph would not say.
    assert float(expected_maps.std()) > 1e-3
    torch.testing.assert_close(maps, expected_maps, atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, expected_scores, atol=1e-5, rtol=0)


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", ["as it is", "lite0", "denoised", "abnormality", "sum", "msn", "density of lite0", "joined score"]
)
def test_half_precision_is_finite_and_close(name: str) -> None:
    model = detector(**SWITCHES[name])
    (maps, scores), (expected_maps, expected_scores) = both(model, DeploymentGraph(model, half=True))
    assert maps.dtype == scores.dtype == torch.float32
    assert torch.isfinite(maps).all()
    torch.testing.assert_close(maps, expected_maps, atol=0.03, rtol=0)
    torch.testing.assert_close(scores, expected_scores, atol=0.02, rtol=0)
    assert not torch.equal(maps, expected_maps)


@pytest.mark.slow
@pytest.mark.parametrize("dropped", ["lengths", "density"])
def test_maps_for_surfaces_that_are_dropped_leave_the_graph(dropped: str) -> None:
    model = detector(density="auto", prototypes="auto")
    getattr(model, f"drop_{dropped}")()
    graph = DeploymentGraph(model)
    assert getattr(graph, f"island_{dropped}") is None
    (maps, scores), (expected_maps, expected_scores) = both(model, graph)
    assert float(expected_maps.std()) > 1e-3
    torch.testing.assert_close(maps, expected_maps, atol=1e-5, rtol=0)
    torch.testing.assert_close(scores, expected_scores, atol=1e-5, rtol=0)


def test_in_half_precision_the_islands_stay_float32() -> None:
    graph = DeploymentGraph(detector(), half=True)
    for part, dtype in (
        (graph.teacher, torch.float16),
        (graph.student, torch.float16),
        (graph.island_mean, torch.float32),
        (graph.island_head, torch.float32),
    ):
        tensors = [*part.parameters(), *part.buffers()]
        assert tensors
        assert {tensor.dtype for tensor in tensors if tensor.is_floating_point()} == {dtype}


@torch.no_grad()
def test_distances_in_half_precision_features_keep_small_values() -> None:
    """Unit vectors are made in float32: 320 channels of rms 30 overflow a half-precision norm."""
    graph = DeploymentGraph(detector(), half=True)
    generator = torch.Generator().manual_seed(0)
    teacher = (30 * torch.randn(1, 320, 4, 4, generator=generator)).half()
    student = (teacher.float() * (1 + 1e-2 * torch.randn(teacher.shape, generator=generator))).half()
    [found] = graph.island_distances([teacher], [[student]])
    found = found[:, 0]
    exact = cosine_distance(teacher.double().float(), student.double().float())
    assert float(exact.max()) < 1e-3
    torch.testing.assert_close(found, exact, rtol=1e-3, atol=1e-7)


@torch.no_grad()
@pytest.mark.parametrize("longer", [1e-3, 1.0, 1e3])
@pytest.mark.parametrize("multiplied_out", [True, False])
def test_distances_do_not_depend_on_how_long_the_vectors_are(longer: float, multiplied_out: bool) -> None:
    """A student's features may be far longer than the teacher's: the loss is a cosine."""
    generator = torch.Generator().manual_seed(0)
    teacher = 3 * torch.randn(2, 64, 8, 8, generator=generator)
    student = longer * (teacher + 0.1 * torch.randn(teacher.shape, generator=generator))
    other = longer * torch.randn(teacher.shape, generator=generator)
    [found] = Distances(multiplied_out=multiplied_out)([teacher], [[student], [other]])
    for branch, features in enumerate((student, other)):
        u, v = (
            x.double() / (x.double().square().sum(1, keepdim=True) + 1e-6).sqrt() for x in (teacher, features)
        )
        expected = 0.5 * (u - v).square().sum(1)
        torch.testing.assert_close(found[:, branch].double(), expected, atol=5e-7, rtol=0)
    assert 1e-4 < float(found[:, 0].mean()) < 1e-2
    assert float(found.min()) >= 0


def test_building_a_graph_leaves_the_model_as_it_was() -> None:
    model = detector()
    before = copy.deepcopy(model.state_dict())
    for half in (False, True):
        DeploymentGraph(model, half=half)
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert any(parameter.requires_grad for parameter in model.student.parameters())


def test_batchnorm_is_folded() -> None:
    graph = DeploymentGraph(detector(**SWITCHES["lite0"]))
    assert not any(isinstance(module, nn.BatchNorm2d) for module in graph.modules())
    assert not any(parameter.requires_grad for parameter in graph.parameters())


@torch.no_grad()
@pytest.mark.parametrize(("branches", "halves"), [("both", 8), ("normality", 4), ("abnormality", 7)])
def test_only_the_halves_in_use_are_computed(branches: str, halves: int) -> None:
    """Of the last stage the abnormality branch alone needs one half: no further stage reads the other."""
    model = detector(branches=branches, pmn="none")
    graph = DeploymentGraph(model)
    trunk = {id(module) for module in graph.student.stages.modules()}
    run: list[nn.Conv2d] = []
    for module in graph.student.modules():
        if isinstance(module, nn.Conv2d) and id(module) not in trunk:
            module.register_forward_hook(lambda layer, args, out: run.append(layer))
    graph(torch.from_numpy(random_images(1)))
    assert len(run) == halves
    assert all(layer.out_channels == layer.in_channels for layer in run)
    assert set(graph.student.pmn) == ({"normality", "abnormality"} if branches == "both" else {branches})


@torch.no_grad()
def test_the_score_is_of_the_graphs_own_map() -> None:
    maps, scores = DeploymentGraph(detector(head="sum", top_k=50))(torch.from_numpy(random_images(3)))
    expected = np.sort(maps.numpy().reshape(3, -1), axis=1)[:, -50:].mean(1)
    np.testing.assert_allclose(scores.numpy(), expected, rtol=1e-5)


@torch.no_grad()
def test_images_of_a_batch_do_not_touch_each_other() -> None:
    graph = DeploymentGraph(detector())
    images = torch.from_numpy(random_images(3))
    maps, scores = graph(images)
    for index in range(3):
        one_map, one_score = graph(images[index : index + 1])
        torch.testing.assert_close(maps[index : index + 1], one_map, atol=1e-5, rtol=0)
        torch.testing.assert_close(scores[index : index + 1], one_score, atol=1e-5, rtol=0)


@torch.no_grad()
def test_the_border_is_treated_as_in_training() -> None:
    """The mean is subtracted before zero padding; folded into a bias it would be wrong along the border."""
    model = detector(backbone=TINY, smoothing=0.0)
    black = torch.zeros(1, 64, 64, 3, dtype=torch.uint8)
    maps, _ = DeploymentGraph(model)(black)
    torch.testing.assert_close(maps, model(black.permute(0, 3, 1, 2)).maps, atol=1e-5, rtol=0)
