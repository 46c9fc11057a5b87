"""Another head over networks that are trained already: what a change to the head does costs no training."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from dmdd_edge.images import read_image
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.config import ModelConfig
from dmdd_edge.train.features import to_input
from dmdd_edge.train.head import ScaledHead, make_head

#: Values of ``ModelConfig`` that shape the head and nothing else.
HEAD_ONLY = frozenset({"head", "abnormality_weight", "stage_weights", "smoothing", "top_k", "head_stride"})
_BATCH = 8


def with_head(run: Run, changes: Mapping[str, Any]) -> Run:
    """A run with another head; what the head takes from normal images is taken from the training images.

    Args:
        run: a finished run; it is changed and must not be used afterwards.
        changes: to ``ModelConfig``, of the head only.

    Raises:
        ValueError: a change is not of the head alone, or the head would have to be trained.
    """
    others = sorted(set(changes) - HEAD_ONLY)
    if others:
        raise ValueError(f"{', '.join(others)}: not of the head alone, so this needs a training of its own")
    shape = ModelConfig(**{**run.config.model.model_dump(), **changes})
    head = make_head(shape).eval()
    if any(True for _ in head.parameters()):
        raise ValueError(f"the head {shape.head!r} is trained, so this needs a training of its own")
    run.config = run.config.model_copy(update={"model": shape})
    run.model.config, run.model.head = shape, head.to(next(run.model.parameters()).device)
    if isinstance(head, ScaledHead):
        head.fit(_peaks(run, head))
    return run


@torch.no_grad()
def _peaks(run: Run, head: ScaledHead) -> torch.Tensor:
    """Peaks of the maps of the training images, n x K."""
    model, paths = run.model.eval(), [Path(path) for path in run.info["train"]]
    device = next(model.parameters()).device
    size, found = run.config.model.image_size, []
    for start in range(0, len(paths), _BATCH):
        part = [
            run.config.preprocess.prepare(read_image(path), size) for path in paths[start : start + _BATCH]
        ]
        x = model.normalise(to_input(np.stack(part), device))
        found.append(head.peaks(head.stack(model.distances(model.teacher(x), model.student(x)))))
    return torch.cat(found)
