"""Evaluates a run without test images: on held-out good images and on synthetic damage on them.

Its figures never mix with those of test images: they have a separate file, the key ``made_damage`` in JSON
and a separate heading. They show what the detector reacts to, not how many real defects it finds.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.threshold import Threshold
from dmdd_edge.evaluation.decisions import decide
from dmdd_edge.evaluation.metrics import FIGURES
from dmdd_edge.evaluation.test_set import Evaluation, Predictor, TestSet, evaluate_predictor
from dmdd_edge.evaluation.views import Views
from dmdd_edge.messages.commands import command, run_options
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train.evaluation import figures, holdout_images, write_images
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.validation.damage import KINDS
from dmdd_edge.train.validation.images import validation_set
from dmdd_edge.train.validation.whole_images import validation_views

#: The figures, and the images that go with them.
_DOCUMENT, _CASES, _HISTOGRAM = "made_damage.json", "made_damage.png", "made_damage_scores.png"
#: All files that are written into the run.
DAMAGE_FILES = (_DOCUMENT, _HISTOGRAM, _CASES)
#: How the document describes what its figures are of.
_OF = "damage made on held-out good images"
#: Differs from the seed by which the head's weights were chosen.
_SEED = 20261
#: Damaged images of each kind.
_COUNT = 6


def damage_tried() -> int:
    """Largest number of images with synthetic damage that are evaluated."""
    return len(KINDS) * _COUNT


def measure_damage(
    run: files.Run, predict: Predictor, threshold: Threshold, progress: Callable[[int, int], None]
) -> tuple[dict[str, Any], TestSet, Evaluation]:
    """Evaluate held-out good images and synthetic damage on them; write figures and images into the run.

    Args:
        run: with held-out images.
        predict: the run's predictor.
        threshold: from the held-out images.
        progress: called with the images done and their count.

    Returns:
        the content of ``made_damage.json``, the images, and their evaluation.

    Raises:
        DmddError: the held-out images are missing.
    """
    normals = holdout_images(run)
    if isinstance(normals, Views):
        test = validation_views(normals, seed=_SEED, count=_COUNT)
    else:
        method = run.info["foreground"]["method"]
        parts = foreground.masks(list(normals), method)[1]
        test = validation_set(normals, parts, seed=_SEED, count=_COUNT)
    evaluation = evaluate_predictor(predict, test, lambda done: progress(done, len(test.items)))
    decisions = decide(evaluation.scores, test.labels, test.defects, threshold.image)
    metrics = {"of": _OF, **figures(run, evaluation.metrics, threshold.image, decisions)}
    files.write_json(run.folder / _DOCUMENT, metrics)
    write_images(run.folder, test, evaluation, threshold, (_HISTOGRAM, _CASES))
    return metrics, test, evaluation


def damage_line(metrics: Mapping[str, Any]) -> str:
    """The result for a person, worded so that it cannot be mistaken for one of test images.

    Args:
        metrics: content of ``made_damage.json``.
    """
    counts = metrics["at_threshold"]
    return (
        f"{metrics['category']}: no test images; {counts['found']} of {counts['defective']} images with "
        f"synthetic damage found, from {counts['good']} held-out good images, "
        f"at threshold {counts['threshold']:.4f}"
    )


def damage_lines(metrics: Mapping[str, Any], run: Path) -> list[str]:
    """``damage_line``, what is found of each kind, and what that does not tell.

    Args:
        metrics: content of ``made_damage.json``.
        run: the folder of the run.
    """
    groups = metrics["at_threshold"]["groups"]
    kinds = {name: group for name, group in groups.items() if group["defective"]}
    each = ", ".join(f"{name} {group['above']} of {group['images']}" for name, group in kinds.items())
    named = run_options(run, metrics["category"])
    return [
        damage_line(metrics),
        *([f"synthetic damage found: {each}"] if each else []),
        "Synthetic damage shows what the detector reacts to, not how many real defects it finds. With images "
        f"of good and defective parts, run: {command('evaluate', **named, good='DIR', bad='DIR')}",
    ]


def as_json(metrics: dict[str, Any]) -> dict[str, Any]:
    """The document of ``evaluate --json``: test figures are null, those of synthetic damage separate.

    Args:
        metrics: content of ``made_damage.json``.
    """
    return {
        **{name: value for name, value in metrics.items() if name != "of"},
        **dict.fromkeys(key for _, key in FIGURES),
        "per_defect": {},
        "at_threshold": None,
        "made_damage": metrics,
    }
