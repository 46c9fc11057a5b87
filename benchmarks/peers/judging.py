"""How accurate a file is on a category's test images, kept beside it so that it is judged once."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.metrics import PAPER_FIELDS
from dmdd_edge.evaluation.test_set import TestSet, evaluate_predictor
from dmdd_edge.storage import write_atomically
from peers.files import File


def accuracy(
    file: File, test: TestSet, threads: int, kept: Path, say: Callable[[str], None] = lambda text: None
) -> dict[str, Any]:
    """Judge the test images with a file.

    Args:
        file: what is judged with.
        test: prepared images.
        threads: of the session; they change no figure that is shown.
        kept: where the figures of this very file on as many images are looked for, and written to.
        say: told how far it is.

    Returns:
        ``image_auroc, pixel_auroc, pro`` (0..1, limit 0.3; None where undefined), ``images``.

    Raises:
        DmddError: the file cannot be opened, or gives values that are not numbers.
    """
    stamp = {"sha256": file.digest, "images": len(test.items)}
    found = _read(kept)
    if found is not None and found["stamp"] == stamp:
        figures: dict[str, Any] = found["figures"]
        return figures
    ask = file.asker(threads)

    def judge(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        pairs = [ask(image) for image in images]
        return np.stack([pair[0] for pair in pairs]), np.array([pair[1] for pair in pairs], np.float32)

    total = len(test.items)
    metrics = evaluate_predictor(judge, test, lambda done: say(f"judged {done} of {total}")).metrics
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
