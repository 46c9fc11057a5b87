"""Replace the head of trained networks, to measure a head without training."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.evaluation import run_images
from dmdd_edge.train.features import to_input
from dmdd_edge.train.head import ScaledHead, make_head
from dmdd_edge.train.head_phase import fit_scaled
from dmdd_edge.train.steps import Features, Precision, features_of

_BATCH = 8
#: Fields of ``ModelConfig`` that affect the head only.
HEAD_ONLY = frozenset(
    {
        "head",
        "abnormality_weight",
        "stage_weights",
        "density",
        "prototypes",
        "smoothing",
        "top_k",
        "head_stride",
    }
)


def with_head(run: Run, changes: Mapping[str, Any]) -> Run:
    """Replace the head of a run; the head is fitted on the training images.

    Args:
        run: a finished run; it is changed in place.
        changes: changes to ``ModelConfig`` that affect the head only.

    Raises:
        ValueError: a change affects more than the head, or the head needs training.
    """
    others = sorted(set(changes) - HEAD_ONLY)
    if others:
        raise ValueError(f"{', '.join(others)}: not of the head alone; train this experiment.")
    shape = ModelConfig(**{**run.config.model.model_dump(), **changes})
    if any(True for _ in make_head(shape).parameters()):
        raise ValueError(f"The head {shape.head!r} is trained; train this experiment.")
    run.config = run.config.model_copy(update={"model": shape})
    device = next(run.model.parameters()).device
    run.model.set_head(shape)
    run.model.to(device).eval()
    if isinstance(run.model.head, ScaledHead):
        _fit(run, run.model.head)
    return run


def _fit(run: Run, head: ScaledHead) -> None:
    """Fit the head as training does after the student."""
    model, device = run.model.eval(), next(run.model.parameters()).device
    precision = Precision("off", device)

    def of(images: NDArray[np.uint8]) -> Features:
        return features_of(model, model.teacher, to_input(images, device), precision)

    learnt, held_out = (
        model.as_seen(np.asarray(run_images(run, [Path(path) for path in run.info[name]])))
        for name in ("train", "holdout")
    )

    def teacher() -> Iterator[list[torch.Tensor]]:
        for start in range(0, len(learnt), _BATCH):
            yield model.teacher(model.normalize(to_input(learnt[start : start + _BATCH], device)))

    with torch.no_grad():
        choice = fit_scaled(model, head, teacher, of, learnt, held_out, run.info["foreground"]["method"])
    run.info["map_weights"] = None if choice is None else choice.facts()
