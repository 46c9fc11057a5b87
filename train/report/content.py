"""What a report is made from, and the facts that its sections share."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.evaluation.test_set import Evaluation, Predictor, TestSet
from dmdd_edge.evaluation.tiled import infer_tiles
from dmdd_edge.evaluation.views import Images, Views

if TYPE_CHECKING:
    from dmdd_edge.train.checkpoint import Run

_TIMED, _TIMED_TILED = 9, 3


def now() -> str:
    """Date and time, for a page."""
    return datetime.now().strftime("%Y-%m-%d %H:%M")


@dataclass(frozen=True)
class Content:
    """A measured run.

    Attributes:
        run: the finished run; None for a bundle.
        metrics: content of metrics.json.
        test: its test images.
        evaluation: their maps and scores.
        threshold: from the held-out normal images; None when none were held out.
        skipped: test files that could not be used, and why.
        single_ms: milliseconds that the trained network takes for one image by itself, median.
        device: where that was measured.
        created: date and time of the report.
        damage: whether ``test`` holds held-out good images and synthetic damage on them, since there are no
            test images.
        progress: called with the images of the page that are done and their count; of large ones the map of
            each is computed once more.
    """

    run: Run | None
    metrics: Mapping[str, Any]
    test: TestSet
    evaluation: Evaluation
    threshold: Threshold | None
    skipped: list[tuple[Any, str]]
    single_ms: float = 0.0
    device: str = ""
    created: str = field(default_factory=now)
    damage: bool = False
    progress: Callable[[int, int], None] = field(default=lambda done, total: None, repr=False)

    @property
    def levels(self) -> tuple[float, float]:
        """Image and pixel threshold; without them the largest score and map value, as for the image files."""
        if self.threshold is None:
            return float(self.evaluation.scores.max()), self.evaluation.largest
        return self.threshold.image, self.threshold.pixel

    @property
    def groups(self) -> list[tuple[str, str, NDArray[np.float64]]]:
        """Scores by kind of image: held-out normal images, good test images, each defect type."""
        scores, groups = np.asarray(self.evaluation.scores, np.float64), []
        if self.threshold is not None and not self.damage:
            groups.append(("held-out good images", "held", np.asarray(self.threshold.scores)))
        for name in dict.fromkeys(self.test.defects):
            chosen = np.array([defect == name for defect in self.test.defects])
            good = not self.test.labels[chosen].any()
            kind = "held-out good images" if self.damage else "good test images"
            groups.append((kind if good else name, "good" if good else "bad", scores[chosen]))
        return groups

    @property
    def outcome(self) -> tuple[int, int, int, int] | None:
        """False alarms, good images, found defective ones, defective images; None without a threshold."""
        if self.threshold is None:
            return None
        above, labels = self.evaluation.scores > self.threshold.image, self.test.labels
        return int(above[~labels].sum()), int((~labels).sum()), int(above[labels].sum()), int(labels.sum())


def time_single(predict: Predictor, images: Images) -> float:
    """Milliseconds that one image takes by itself: the median of a few calls, after one to warm up.

    Args:
        predict: from images to maps and scores.
        images: the first one is timed, of a tiled category with all of its tiles.
    """
    taken = []
    view, layout = images.read(0) if isinstance(images, Views) else (images[0], None)
    for _ in range((_TIMED if layout is None else _TIMED_TILED) + 1):
        began = time.perf_counter()
        if layout is None:
            predict(view[None])
        else:
            infer_tiles(predict, view, layout)
        taken.append(1000 * (time.perf_counter() - began))
    return statistics.median(taken[1:])
