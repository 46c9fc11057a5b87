"""How accurate the very file and back end are whose speed is measured."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.data.datasets import load_category
from dmdd_edge.evaluation.metrics import Metrics
from dmdd_edge.evaluation.test_set import evaluate_judge, load_test_set
from dmdd_edge.runtime.bench.subject import Subject


@dataclass(frozen=True)
class Accuracy:
    """Figures of a category's complete test set.

    Attributes:
        metrics: None where they could not be measured.
        images: how many were judged.
        reason: why there are none; empty otherwise.
        skipped: files that could not be read, and why.
        remarks: what was left out or used with a reservation, a line each.
    """

    metrics: Metrics | None
    images: int = 0
    reason: str = ""
    skipped: tuple[tuple[Path, str], ...] = ()
    remarks: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        """What a result says of them; ratios 0..1."""
        if self.metrics is None:
            return {"reason": self.reason}
        kept = ("image_auroc", "pixel_auroc", "pro", "pro_per_image")
        figures = {name: getattr(self.metrics, name) for name in kept}
        return {
            **figures,
            "images": self.images,
            "skipped": len(self.skipped),
            "remarks": list(self.remarks),
        }


class _StoppedError(Exception):
    """The user wants the run to end."""


def measure_accuracy(
    subject: Subject,
    data: Path | None,
    progress: Callable[[int, int], None] = lambda done, total: None,
    stop: Callable[[], bool] = lambda: False,
) -> Accuracy:
    """Judge the category's test images with what is measured.

    Args:
        subject: what is measured.
        data: a data set that holds the bundle's category; None where there is none.
        progress: called with how many images are judged, of how many.
        stop: asked between images; true ends it, without figures, since those of a part would mislead.

    Raises:
        DmddError: the data set cannot be read, or the back end failed.
    """
    if data is None:
        return Accuracy(None, reason="no data set was given: add --data DIR")
    manifest = subject.bundle.manifest
    category = load_category(data, manifest.category, for_training=False)
    if not category.test:
        return Accuracy(None, reason=f"{data} has no test images of {manifest.category}")
    test = load_test_set(category, manifest.preprocess, manifest.image_size)
    total = len(test.items)

    def judged(done: int) -> None:
        if stop():
            raise _StoppedError
        progress(done, total)

    try:
        found = evaluate_judge(subject.stopwatch.infer, test, judged)
    except _StoppedError:
        return Accuracy(None, reason="stopped")
    remarks = tuple(category.remarks())
    return Accuracy(found.metrics, total, skipped=tuple(category.skipped), remarks=remarks)
