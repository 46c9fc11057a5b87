"""Evaluate a bundle on test images with the backend of this machine; without torch and onnx."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.gate import reach
from dmdd_edge.data.datasets import Category
from dmdd_edge.data.quality import check_view
from dmdd_edge.evaluation.decisions import Decisions, decide
from dmdd_edge.evaluation.test_set import Evaluation, TestSet, evaluate_predictor, load_test_set
from dmdd_edge.runtime.detector import Detector


@dataclass(frozen=True)
class MeasuredBundle:
    """Metrics of a bundle on test images.

    Attributes:
        metrics: the fields of metrics.json, with ``version``, ``backend`` and ``threshold_origin``.
        decisions: at the threshold in use.
        test: the images.
        evaluation: their maps and scores.
    """

    metrics: dict[str, Any]
    decisions: Decisions
    test: TestSet
    evaluation: Evaluation


def evaluate_bundle(
    detector: Detector,
    category: Category,
    groups: Mapping[Path, str] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> MeasuredBundle:
    """Evaluate a bundle at its threshold; an unreliable frame counts as neither good nor anomalous.

    Args:
        detector: runs the bundle.
        category: has the test images; unreadable ones are noted in it.
        groups: name of each image's group; None groups by defect type.
        progress: called with the number of finished images and the total.

    Raises:
        DmddError: there are no readable test images, or the backend failed.
    """
    manifest = detector.bundle.manifest
    test = load_test_set(category, manifest.preprocess, manifest.image_size)
    threshold = detector.threshold
    reaches: list[float] = []

    unreliable: list[bool] = []
    limits = manifest.frame_limits

    def watch(index: int, view: NDArray[np.uint8], anomaly_map: NDArray[np.float32]) -> None:
        geometry = manifest.preprocess.geometry(test.shapes[index], manifest.image_size)
        unreliable.append(limits is not None and check_view(view, geometry.layout, limits) is not None)
        if threshold.gate:
            ignored = geometry.ignored
            counted = anomaly_map if ignored is None else np.where(ignored, np.float32(0), anomaly_map)
            reaches.append(reach(counted, geometry.source_pixels, threshold.gate))

    evaluation = evaluate_predictor(
        detector.backend.infer, test, lambda done: progress(done, len(test.items)), watch
    )
    names = test.defects if groups is None else [groups[item.path] for item in test.items]
    decisions = decide(evaluation.scores, test.labels, names, threshold, unreliable, reaches or None)
    training = manifest.created_with
    metrics = {
        "category": manifest.category,
        "version": manifest.version,
        "backbone": manifest.backbone,
        "recipe": training.get("recipe", ""),
        "image_size": manifest.image_size,
        "steps": training.get("steps"),
        "seed": training.get("seed"),
        **evaluation.metrics.as_dict(),
        "threshold": detector.threshold.image,
        "threshold_origin": detector.threshold.origin,
        **({} if threshold.suspect is None else {"suspect_threshold": threshold.suspect}),
        **({"min_area": threshold.gate.min_area} if threshold.gate else {}),
        "at_threshold": decisions.as_dict(),
        "train_seconds": manifest.metrics.get("train_seconds"),
        "backend": detector.backend.name,
        "data_set": category.counts(),
    }
    return MeasuredBundle(metrics, decisions, test, evaluation)
