"""One training step of each phase: the student's (paper, NGM and AIM) and the head's (paper, L_seg)."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from dmdd_edge.errors import OptionError
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.distance import aim_loss, ngm_loss, stage_masks
from dmdd_edge.train.features import TeacherFeatures, to_input
from dmdd_edge.train.head import SegmentationHead, anomaly_score
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.synthesis.feeder import PairBatch

#: Features of the teacher and, by branch, of the student, four N x C_i x H_i x W_i each.
Features = tuple[list[Tensor], dict[str, list[Tensor]]]


class Stopwatch:
    """Sums the seconds that each part of training takes."""

    def __init__(self, device: torch.device) -> None:
        self.seconds: dict[str, float] = {}
        self._synchronize = torch.cuda.synchronize if device.type == "cuda" else None

    @contextmanager
    def part(self, name: str) -> Iterator[None]:
        """Time a part of the work."""
        began = time.perf_counter()
        yield
        if self._synchronize is not None:
            self._synchronize()
        self.seconds[name] = self.seconds.get(name, 0.0) + time.perf_counter() - began


def describe_split(seconds: dict[str, float], total: float) -> str:
    """One line on what a run's time was spent on."""
    parts = ", ".join(f"{name} {value:.1f} s ({value / total:.0%})" for name, value in seconds.items())
    return f"time: {total:.1f} s in total: {parts}"


class Precision:
    """Automatic mixed precision, by device.

    Args:
        amp: ``auto``, ``off``, ``bf16`` or ``fp16``.
        device: where the networks are.
    """

    def __init__(self, amp: str, device: torch.device) -> None:
        if amp == "auto":
            amp = "off" if device.type == "cpu" else "bf16" if torch.cuda.is_bf16_supported() else "fp16"
        if amp == "fp16" and device.type == "cpu":
            raise OptionError(
                "Training in float16 needs a GPU.", fix="Choose --amp bf16 or --amp off on the CPU."
            )
        self.name, self.device = amp, device
        self.dtype = {"off": None, "bf16": torch.bfloat16, "fp16": torch.float16}[amp]
        self.scaler = torch.amp.GradScaler(device.type, enabled=amp == "fp16")

    def autocast(self) -> Any:
        """The context in which the networks run."""
        return nullcontext() if self.dtype is None else torch.autocast(self.device.type, self.dtype)

    def step(self, loss: Tensor, optimizer: torch.optim.Optimizer) -> None:
        """Backward and update."""
        self.scaler.scale(loss).backward()
        self.scaler.step(optimizer)
        self.scaler.update()


def student_step(
    model: DMDD,
    features: TeacherFeatures,
    batch: PairBatch,
    config: TrainConfig,
    precision: Precision,
    optimizer: torch.optim.Optimizer,
    watch: Stopwatch,
) -> dict[str, Tensor]:
    """One update of the student on a batch of pairs.

    Normal and anomalous images pass the student in one batch, so BatchNorm sees both.

    Returns:
        the detached losses ``ngm`` and ``aim`` of the branches in use.
    """
    device = features.device
    count = len(batch.index)
    with watch.part("teacher"), precision.autocast():
        anomalous = to_input(batch.anomalous, device)
        teacher_normal = features.of_batch(batch)
        needs_anomalous = config.model.branches != "normality"
        teacher_anomalous = [f.float() for f in features.compute(anomalous)] if needs_anomalous else []
    with watch.part("student"):
        normal = to_input(batch.normal, device)
        with precision.autocast():
            features_of = model.student(model.normalize(torch.cat([normal, anomalous])))
        losses: dict[str, Tensor] = {}
        if "normality" in features_of:
            branch = features_of["normality"]
            losses["ngm"] = ngm_loss(teacher_normal, [f[:count] for f in branch], [f[count:] for f in branch])
        if "abnormality" in features_of:
            branch = features_of["abnormality"]
            mask = torch.from_numpy(batch.masks).to(device).float()
            masks = stage_masks(mask, branch, config.mask_threshold)
            of_normal = aim_loss(teacher_normal, [f[:count] for f in branch], [None] * len(branch))
            of_anomalous = aim_loss(
                teacher_anomalous, [f[count:] for f in branch], list(masks), balanced=config.balanced_aim
            )
            losses["aim"] = 0.5 * (of_normal + of_anomalous)
        optimizer.zero_grad(set_to_none=True)
        weights = {"ngm": 1.0, "aim": config.aim_weight}
        precision.step(
            torch.stack([weights[name] * value for name, value in losses.items()]).sum(), optimizer
        )
    return {name: value.detach() for name, value in losses.items()}


@torch.no_grad()
def features_of(model: DMDD, teacher: nn.Module, images: Tensor, precision: Precision) -> Features:
    """Features of uint8 images N x 3 x S x S: the teacher's four, and the student's by branch."""
    with precision.autocast():
        x = model.normalize(images)
        return teacher(x), model.student(x)


@torch.no_grad()
def distance_maps(model: DMDD, teacher: nn.Module, images: Tensor, precision: Precision) -> list[Tensor]:
    """The distance maps of uint8 images N x 3 x S x S, student and teacher frozen."""
    return model.distances(*features_of(model, teacher, images, precision))


def head_step(
    model: DMDD, maps: list[Tensor], masks: Tensor, optimizer: torch.optim.Optimizer
) -> dict[str, Tensor]:
    """One update of the head: L_seg = BCE(M, mask) + BCE(S, max(mask)) (paper).

    Args:
        model: whose head is trained.
        maps: distance maps of N images.
        masks: float N x S x S of 0 and 1.
        optimizer: of the head's parameters.

    Returns:
        the detached loss ``seg``.
    """
    assert isinstance(model.head, SegmentationHead)
    logits = model.head.logits(maps)
    of_map = F.binary_cross_entropy_with_logits(logits, masks)
    scores = anomaly_score(torch.sigmoid(logits), model.config.top_k).clamp(1e-6, 1 - 1e-6)
    of_score = F.binary_cross_entropy(scores, masks.amax((1, 2)))
    loss = of_map + of_score
    optimizer.zero_grad(set_to_none=True)
    loss.backward()
    optimizer.step()
    return {"seg": loss.detach()}
