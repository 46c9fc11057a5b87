"""One step of each phase: its losses recomputed in numpy from the networks' features, and what it updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import scipy.special
import torch
from numpy.typing import NDArray

from dmdd_edge.errors import DmddError
from dmdd_edge.train.features import TeacherFeatures
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.steps import Precision, Stopwatch, head_step, student_step
from dmdd_edge.train.synthesis.feeder import PairBatch

CPU = torch.device("cpu")


def cosine_distance(a: torch.Tensor, b: torch.Tensor) -> NDArray[np.float64]:
    x, y = a.detach().double().numpy(), b.detach().double().numpy()
    return 1 - (x * y).sum(1) / np.sqrt((x * x).sum(1) * (y * y).sum(1))


def area_mask(masks: NDArray[np.bool_], side: int, threshold: float) -> NDArray[np.float64]:
    cell = masks.shape[-1] // side
    share = masks.reshape(len(masks), side, cell, side, cell).mean((2, 4))
    return (share > threshold).astype(np.float64)


@pytest.fixture
def images() -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (3, 64, 64, 3), np.uint8)


@pytest.fixture
def batch(images: NDArray[np.uint8]) -> PairBatch:
    rng = np.random.default_rng(1)
    masks = np.zeros((2, 64, 64), np.bool_)
    masks[0, 10:40, 5:30] = True
    masks[1, 50:60, 20:64] = True
    anomalous = images[[2, 0]].copy()
    anomalous[masks] = rng.integers(0, 256, (int(masks.sum()), 3))
    return PairBatch(np.array([2, 0]), images[[2, 0]], np.zeros(2, np.bool_), anomalous, masks)


def to_tensor(images: NDArray[np.uint8]) -> torch.Tensor:
    return torch.from_numpy(images.astype(np.float32)).permute(0, 3, 1, 2)


def step(
    config: Any, images: NDArray[np.uint8], batch: PairBatch, lr: float, count: int = 1
) -> tuple[DMDD, dict[str, Any]]:
    torch.manual_seed(1)
    model = DMDD(config.model, pretrained=False).train()
    features = TeacherFeatures(model.teacher, model.normalize, images, CPU)
    optimizer = torch.optim.Adam(model.student.parameters(), lr)
    for _ in range(count):
        losses = student_step(
            model, features, batch, config, Precision("off", CPU), optimizer, Stopwatch(CPU)
        )
    return model, losses


@pytest.mark.parametrize("balanced", [False, True])
def test_the_students_losses_against_numpy(
    balanced: bool, tiny_config: Callable[..., Any], images: NDArray[np.uint8], batch: PairBatch
) -> None:
    config = tiny_config({"residual": False, "denoise": 0.0}, mask_threshold=0.4, balanced_aim=balanced)
    model, losses = step(config, images, batch, lr=1e-9)

    mean, std = model.normalize.mean, model.normalize.std
    normal, anomalous = ((to_tensor(x) - mean) / std for x in (images[[2, 0]], batch.anomalous))
    with torch.no_grad():
        teacher_normal, teacher_anomalous = model.teacher(normal), model.teacher(anomalous)
        found = model.train().student(torch.cat([normal, anomalous]))
    ngm, aim = [], []
    for stage in range(4):
        own, other = found["normality"][stage], found["abnormality"][stage]
        near = teacher_normal[stage]  # also for the anomalous images: that is the guidance
        ngm.append((cosine_distance(near, own[:2]) + cosine_distance(near, own[2:])).mean())
        mask = area_mask(batch.masks, own.shape[-1], 0.4)
        of_normal = cosine_distance(near, other[:2]).mean()
        error = np.abs(cosine_distance(teacher_anomalous[stage], other[2:]) - mask)
        of_anomalous = error.mean()
        if balanced:
            of_anomalous = 0.5 * (error[mask == 1].mean() + error[mask == 0].mean())
        aim.append(0.5 * (of_normal + of_anomalous))
    # The cached features of the normals are in half precision.
    assert float(losses["ngm"]) == pytest.approx(np.mean(ngm), abs=2e-3)
    assert float(losses["aim"]) == pytest.approx(np.mean(aim), abs=2e-3)


def test_aims_weight_scales_what_it_asks_of_the_shared_stages(
    tiny_config: Callable[..., Any], images: NDArray[np.uint8], batch: PairBatch
) -> None:
    def gradient(weight: float) -> torch.Tensor:
        model, _ = step(tiny_config(aim_weight=weight), images, batch, lr=1e-9)
        found = next(model.student.stages.parameters()).grad
        assert found is not None
        return found

    without, full = gradient(0.0), gradient(1.0)
    assert float((full - without).abs().max()) > 0
    torch.testing.assert_close(gradient(0.25), without + 0.25 * (full - without), rtol=1e-3, atol=1e-6)


def test_a_step_changes_the_student_alone(
    tiny_config: Callable[..., Any], images: NDArray[np.uint8], batch: PairBatch
) -> None:
    """Every parameter of it, also where it starts at zero; statistics of BatchNorm as configured."""
    for frozen in (False, True):
        config = tiny_config({"frozen_norm": frozen})
        torch.manual_seed(1)
        before = DMDD(config.model, pretrained=False).state_dict()
        model, losses = step(config, images, batch, lr=1e-3, count=3)
        assert set(losses) == {"ngm", "aim"}
        changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
        learnt = {f"student.{name}" for name, _ in model.student.named_parameters()}
        assert learnt <= changed
        assert all(name.startswith("student.") for name in changed)
        statistics = {name for name in changed if name.endswith("running_mean")}
        assert any(name.startswith("student.pmn") for name in statistics)
        assert frozen != any(name.startswith("student.stages") for name in statistics)


@pytest.mark.parametrize(("branch", "loss"), [("normality", "ngm"), ("abnormality", "aim")])
def test_one_branch_has_its_own_loss_only(
    branch: str, loss: str, tiny_config: Callable[..., Any], images: NDArray[np.uint8], batch: PairBatch
) -> None:
    config = tiny_config({"branches": branch})
    _, losses = step(config, images, batch, lr=1e-3)
    assert set(losses) == {loss}


def test_the_heads_loss_against_numpy(tiny_config: Callable[..., Any], batch: PairBatch) -> None:
    model = DMDD(tiny_config({"top_k": 37}).model, pretrained=False)
    generator = torch.Generator().manual_seed(2)
    maps = [2 * torch.rand(3, s, s, generator=generator) for _ in range(2) for s in (16, 8, 4, 2)]
    masks = torch.from_numpy(np.concatenate([np.zeros_like(batch.masks[:1]), batch.masks])).float()
    with torch.no_grad():
        logits = model.head.logits(maps).double().numpy()
    optimizer = torch.optim.Adam(model.head.parameters(), 1e-2)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    losses = head_step(model, maps, masks, optimizer)

    truth = masks.double().numpy()
    p = scipy.special.expit(logits)
    of_map = -(truth * np.log(p) + (1 - truth) * np.log1p(-p)).mean()
    score = np.sort(p.reshape(3, -1), axis=1)[:, -37:].mean(1)
    of_score = -np.mean([np.log1p(-score[0]), np.log(score[1]), np.log(score[2])])
    assert float(losses["seg"]) == pytest.approx(of_map + of_score, rel=1e-4)
    changed = {name for name, value in model.state_dict().items() if not torch.equal(value, before[name])}
    assert {"head.scale", "head.bias"} <= changed
    assert all(name.startswith("head.") for name in changed)


def test_float16_on_a_cpu_is_refused() -> None:
    with pytest.raises(DmddError) as error:
        Precision("fp16", CPU)
    assert "--amp" in (error.value.fix or "")
    assert Precision("auto", CPU).name == "off"


def test_bfloat16_comes_close(
    tiny_config: Callable[..., Any], images: NDArray[np.uint8], batch: PairBatch
) -> None:
    torch.manual_seed(1)
    config = tiny_config()
    model = DMDD(config.model, pretrained=False).train()
    features = TeacherFeatures(model.teacher, model.normalize, images, CPU)
    optimizer = torch.optim.Adam(model.student.parameters(), 1e-9)
    precision = Precision("bf16", CPU)
    watch = Stopwatch(CPU)
    halves = student_step(model, features, batch, config, precision, optimizer, watch)
    _, full = step(config, images, batch, lr=1e-9)
    for name, value in full.items():
        assert float(halves[name]) == pytest.approx(float(value), abs=0.03)
    assert set(watch.seconds) == {"teacher", "student"}
