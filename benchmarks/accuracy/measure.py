"""Measure an experiment's networks on validation and test images, with their head and with the sum."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from dmdd_edge.data.datasets import load_category
from dmdd_edge.evaluation.metrics import PAPER_FIELDS, Metrics, evaluate
from dmdd_edge.evaluation.test_set import TestSet, load_test_set
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.evaluation import run_images
from dmdd_edge.train.features import to_input
from dmdd_edge.train.head import make_head
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.validation.images import validation_set

_BATCH = 8
#: Keys in the result of ``measure``: the run's head, and the plain sum of its maps to compare with.
OWN, SUM = "head", "sum"

Found = tuple[NDArray[np.float32], NDArray[np.float32]]


def measure(run: Run, spare: Sequence[Path], device: torch.device) -> dict[str, Any]:
    """Measure a run's networks with its head and with the plain sum of their maps.

    Args:
        run: a finished run.
        spare: further unused normal images for validation.
        device: device to compute on.

    Returns:
        ``{"validation": {"head": ..., "sum": ...}, "test": {"head": ..., "sum": ...}, "seconds": ...}``.
        Each of the four has the figures and ``per_defect``; validation's are means over the kinds of damage.
        ``test`` is None without test images, ``validation`` without unused normal images.
    """
    config = run.config
    model = run.model.to(device).to(memory_format=torch.channels_last).eval()
    heads = {OWN: model.head, SUM: sum_head(config.model).to(device).eval()}
    began = time.perf_counter()
    validation = None
    normals = [Path(path) for path in run.info["holdout"]] + list(spare)
    if normals:
        validation = _figures(model, heads, _validation(run, normals))
        for name, found in validation.items():
            validation[name] = {**_means(found["per_defect"]), "kinds": found["per_defect"]}
    category = load_category(config.data, config.category)
    test = None
    if category.test:
        images = load_test_set(category, config.preprocess, config.model.image_size)
        test = _figures(model, heads, images)
    return {"validation": validation, "test": test, "seconds": round(time.perf_counter() - began, 1)}


def sum_head(config: ModelConfig) -> nn.Module:
    """The plain sum of the distance maps with the same smoothing: the baseline of every head."""
    return make_head(config.model_copy(update={"head": "sum"}))


@torch.no_grad()
def infer(model: DMDD, heads: Mapping[str, nn.Module], images: NDArray[np.uint8]) -> dict[str, Found]:
    """Infer images with several heads on the same distance maps.

    Args:
        model: teacher and student; its own head is not used.
        heads: heads by name.
        images: uint8 n x S x S x 3 BGR.

    Returns:
        by name: maps float32 n x S x S and scores float32 n.
    """
    device = next(model.parameters()).device
    found = {
        name: (np.zeros(images.shape[:3], np.float32), np.zeros(len(images), np.float32)) for name in heads
    }
    for start in range(0, len(images), _BATCH):
        some = to_input(images[start : start + _BATCH], device)
        for name, made in zip(heads, model.by_heads(some, heads.values()), strict=True):
            found[name][0][start : start + _BATCH] = made.maps.cpu().numpy()
            found[name][1][start : start + _BATCH] = made.scores.cpu().numpy()
    return found


def _figures(model: DMDD, heads: Mapping[str, nn.Module], test: TestSet) -> dict[str, dict[str, Any]]:
    masks = np.asarray(test.masks)
    return {
        name: _rounded(evaluate(scores, test.labels, maps, masks, test.defects, test.has_mask))
        for name, (maps, scores) in infer(model, heads, np.asarray(test.images)).items()
    }


def _rounded(metrics: Metrics) -> dict[str, Any]:
    """Round figures to six places: enough for 20 million pixels, and short lines."""

    def short(value: Any) -> Any:
        if isinstance(value, dict):
            return {key: short(inner) for key, inner in value.items()}
        return round(value, 6) if isinstance(value, float) else value

    found: dict[str, Any] = short(metrics.as_dict())
    return found


def _means(kinds: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """Mean of each figure over the kinds of damage; None when no kind has it."""
    means: dict[str, float | None] = {}
    for name in PAPER_FIELDS:
        values = [found[name] for found in kinds.values() if found[name] is not None]
        means[name] = round(float(np.mean(values)), 6) if values else None
    return means


def _validation(run: Run, normals: Sequence[Path]) -> TestSet:
    images = np.asarray(run_images(run, normals))
    # Training's method, because validation has too few images to choose one.
    method = run.info["foreground"]["method"]
    parts = foreground.masks(list(images), method)[1]
    return validation_set(images, parts)
