"""The decoupled student and the frozen teacher beside it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from dmdd_edge.train.backbones import build_backbone
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.student import DecoupledStudent

TINY = "timm:test_efficientnet"


def config(**values: Any) -> ModelConfig:
    return ModelConfig(**{"backbone": TINY, "image_size": 64, **values})


def student(**values: Any) -> DecoupledStudent:
    torch.manual_seed(0)
    return DecoupledStudent(build_backbone(TINY, pretrained=False), config(**values)).eval()


@pytest.fixture
def image() -> Tensor:
    return torch.randn(2, 3, 64, 64, generator=torch.Generator().manual_seed(4))


@torch.no_grad()
def test_a_residual_student_starts_as_the_teacher(image: Tensor) -> None:
    model = DMDD(config(), pretrained=False).eval()
    for ours, teachers in zip(model.student(image)["normality"], model.teacher(image), strict=True):
        torch.testing.assert_close(ours, teachers, atol=1e-6, rtol=1e-6)


@torch.no_grad()
def test_a_random_start_does_not(image: Tensor) -> None:
    model = DMDD(config(pmn="none", residual=False), pretrained=False).eval()
    assert not torch.allclose(model.student(image)["normality"][0], model.teacher(image)[0], atol=0.01)


@torch.no_grad()
def test_the_normality_feature_feeds_the_next_stage_and_the_abnormality_feature_does_not(
    image: Tensor,
) -> None:
    net = student(pmn="none")
    before = net(image)
    layer, half = net.decouple[1], net.decouple[1].in_channels
    layer.weight[half:] = 0.0
    layer.bias[half:] = 0.25
    silenced = net(image)
    assert torch.equal(silenced["abnormality"][1], torch.full_like(silenced["abnormality"][1], 0.25))
    for stage in range(4):
        assert torch.equal(silenced["normality"][stage], before["normality"][stage])
    assert torch.equal(silenced["abnormality"][2], before["abnormality"][2])

    layer.weight[:half] *= -2.0
    turned = net(image)
    torch.testing.assert_close(turned["normality"][1], -2.0 * before["normality"][1])
    expected = net.stages[2](-2.0 * before["normality"][1])
    torch.testing.assert_close(turned["normality"][2], expected, atol=1e-5, rtol=1e-5)
    assert not torch.allclose(expected, before["normality"][2], atol=1e-3)


@torch.no_grad()
@pytest.mark.parametrize("branch", ["normality", "abnormality"])
def test_a_single_branch_gives_what_it_gives_beside_the_other(branch: str, image: Tensor) -> None:
    both, one = student(), student(branches=branch)
    missing = one.load_state_dict(both.state_dict(), strict=False)
    assert not missing.missing_keys
    found = one(image)
    assert list(found) == [branch]
    for a, b in zip(found[branch], both(image)[branch], strict=True):
        assert torch.equal(a, b)


def test_the_teacher_stays_frozen_and_apart_from_the_student() -> None:
    model = DMDD(config(frozen_norm=False), pretrained=False)
    model.train()
    assert not any(module.training for module in model.teacher.modules())
    assert all(module.training for module in model.student.modules())
    assert not any(p.requires_grad for p in model.teacher.parameters())
    assert all(p.requires_grad for p in model.student.parameters())
    own = {p.data_ptr() for p in model.teacher.parameters()}
    assert own.isdisjoint(p.data_ptr() for p in model.student.parameters())
    # The student's trunk starts from the teacher's weights.
    trunk = model.student.stages.state_dict()
    for name, value in model.teacher.stages.state_dict().items():
        assert torch.equal(value, trunk[name])


@torch.no_grad()
def test_an_untrained_residual_detector_sees_no_anomaly() -> None:
    """The normality branch starts as the teacher: each distance is 0, and with it the map and the score."""
    model = DMDD(config(head="sum", branches="normality"), pretrained=False).eval()
    images = torch.randint(0, 256, (2, 3, 64, 64), dtype=torch.uint8)
    found = model(images)
    assert float(found.maps.abs().max()) < 1e-6
    assert float(found.scores.abs().max()) < 1e-6


@torch.no_grad()
def test_distances_come_branch_by_branch_finest_first() -> None:
    model = DMDD(config(pmn="none"), pretrained=False).eval()
    teacher = [torch.ones(1, c, 2, 2) for c in model.teacher.channels]
    student = {"normality": [t.clone() for t in teacher], "abnormality": [t.clone() for t in teacher]}
    student["normality"][1] = -teacher[1]
    student["abnormality"][3] = -teacher[3]
    found = [round(float(d.mean()), 3) for d in model.distances(teacher, student)]
    assert found == [0, 2, 0, 0, 0, 0, 0, 2]
