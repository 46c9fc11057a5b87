"""Accuracy of a file on a category's test images, cached next to it."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.evaluation.test_set import TestSet, evaluate_predictor
from dmdd_edge.storage import write_atomically
from peers.files import File


def accuracy(
    file: File, test: TestSet, threads: int, kept: Path, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Evaluate a file on the test images.

    Args:
        file: the file.
        test: prepared images.
        threads: threads of the session; they do not change the reported figures.
        kept: cache of the figures of this file on this number of images.
        say: called with progress messages.

    Returns:
        ``image_auroc, pixel_auroc, pro`` (0..1, limit 0.3; None where undefined), ``images``.

    Raises:
        DmddError: the file cannot be opened, or returns NaN.
    """
    stamp = {"sha256": file.digest, "images": len(test.items)}
    cached = _read(kept)
    if cached is not None and cached["stamp"] == stamp:
        figures: dict[str, Any] = cached["figures"]
        return figures
    total = len(test.items)
    predict = file.batch_predictor(threads)
    metrics = evaluate_predictor(predict, test, lambda done: say(f"{done} of {total} images")).metrics
    figures = {name: _rounded(getattr(metrics, name)) for name in PAPER_FIELDS}
    figures["images"] = total
    write_atomically(kept, json.dumps({"stamp": stamp, "figures": figures}))
    return figures


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def _read(path: Path) -> dict[str, Any] | None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) and {"stamp", "figures"} <= found.keys() else None
