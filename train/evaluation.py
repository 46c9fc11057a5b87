"""Evaluates a trained run on its category's test images: figures, histogram, hardest cases."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from numpy.typing import NDArray

from dmdd_edge.bundle.threshold import Threshold, map_peak, threshold_from_normals
from dmdd_edge.data.images import read_image
from dmdd_edge.data.place_levels import PlaceLevels
from dmdd_edge.errors import TrainingError
from dmdd_edge.evaluation.decisions import Decisions
from dmdd_edge.evaluation.metrics import Metrics
from dmdd_edge.evaluation.pictures import Case, case_sheet, hardest, score_histogram
from dmdd_edge.evaluation.test_set import Evaluation, Predictor, TestSet, scores_of
from dmdd_edge.evaluation.views import Images, Views
from dmdd_edge.storage import write_atomically
from dmdd_edge.train import checkpoint as files
from dmdd_edge.train.config import TrainConfig
from dmdd_edge.train.features import to_input
from dmdd_edge.train.held_out_levels import HeldOutLevels
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.odd_ones import odd_ones

HISTOGRAM, CASES = "score_histogram.png", "hardest_cases.png"


def torch_predictor(model: DMDD, device: torch.device | None = None) -> Predictor:
    """The trained module as a predictor of prepared images."""
    target = device or next(model.parameters()).device

    @torch.no_grad()
    def predict(images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        prediction = model.eval()(to_input(images, target))
        return prediction.maps.cpu().numpy(), prediction.scores.cpu().numpy()

    return predict


def holdout_images(run: files.Run) -> Images:
    """The run's held-out normal images, uint8 N x S x S x 3 BGR; of a tiled run their views.

    Raises:
        DmddError: the run held out no images, or the files are missing.
    """
    paths = [Path(path) for path in run.info["holdout"]]
    if not paths:
        raise TrainingError(
            "This run held out no good images, so it has no threshold.",
            fix="Train again with --holdout 0.1 and --overwrite.",
        )
    missing = [path for path in paths if not path.is_file()]
    if missing:
        raise TrainingError(
            f"{len(missing)} of {len(paths)} held-out images are missing (first: {missing[0]}).",
            fix="Give the folder of the training images with --data DIR, or restore them.",
        )
    return run_images(run, paths)


def run_images(run: files.Run, paths: Sequence[Path]) -> Images:
    """Images as a run prepares them, uint8 N x S x S x 3 BGR; of a tiled run views, read when needed.

    Those that gave the levels of places are compared with the levels of the others.
    """
    size = run.config.model.image_size
    preprocess = run.config.preprocess
    if preprocess.tiling is not None:
        return Views(tuple(paths), preprocess, size, own_levels=_own_levels(run))
    prepared = [preprocess.prepare(read_image(path, preprocess.bits), size, str(path)) for path in paths]
    return np.stack(prepared) if prepared else np.zeros((0, size, size, 3), np.uint8)


def _own_levels(run: files.Run) -> Mapping[Path, PlaceLevels]:
    """Of held-out images that gave the levels of places: those of the others."""
    tiling = run.config.preprocess.tiling
    if tiling is None or tiling.levels is None:
        return {}
    return HeldOutLevels.read(run.folder).of_others([Path(path) for path in run.info["holdout"]])


def threshold_of(
    run: files.Run,
    predict: Predictor,
    alpha: float = 0.01,
    suspect_rate: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> Threshold:
    """The threshold from the run's held-out normal images (design, "Threshold")."""
    return threshold_and_odd(run, predict, alpha, suspect_rate, progress)[0]


def threshold_and_odd(
    run: files.Run,
    predict: Predictor,
    alpha: float = 0.01,
    suspect_rate: float | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> tuple[Threshold, list[str]]:
    """The threshold from the run's held-out normal images, and a line on those that alone set it."""
    peaks: list[float] = []
    images = holdout_images(run)
    scores = scores_of(
        predict,
        images,
        lambda done: progress(done, len(images)),
        lambda index, view, found: peaks.append(map_peak(found)),
    )
    separate = score_is_separate(run.config)
    threshold = threshold_from_normals(
        scores.tolist(), alpha, peaks=peaks if separate else None, suspect_rate=suspect_rate
    )
    return threshold, odd_ones(run.info["holdout"], scores.tolist(), threshold)


def score_is_separate(config: TrainConfig) -> bool:
    """Whether the score is not computed from the map, so that maps need a separate threshold.

    The scaled head computes its score separately; that of a tiled image may be the peak of the joined map, or
    with a coarse pass the score of the whole image.
    """
    tiling = config.preprocess.tiling
    return config.model.head == "scaled" and (tiling is None or tiling.score == "tiles" or tiling.coarse)


def figures(
    run: files.Run, metrics: Metrics, threshold: float | None, decisions: Decisions | None = None
) -> dict[str, Any]:
    """The content of metrics.json; ratios in 0..1.

    Args:
        run: the run.
        metrics: of its test images.
        threshold: of the score; None without held-out images.
        decisions: at the threshold.
    """
    config = run.config
    return {
        "category": config.category,
        "backbone": config.model.backbone,
        "recipe": config.recipe,
        "image_size": config.model.image_size,
        "steps": run.info["steps"],
        "seed": config.seed,
        **metrics.as_dict(),
        "threshold": threshold,
        "at_threshold": None if decisions is None else decisions.as_dict(),
        "train_seconds": run.info["train_seconds"],
    }


def write_images(
    folder: Path,
    test: TestSet,
    evaluation: Evaluation,
    threshold: Threshold | None,
    names: tuple[str, str] = (HISTOGRAM, CASES),
) -> list[Path]:
    """Write the score histogram and the sheet of the hardest cases, under these names; returns their files.

    Without a threshold the largest score and the largest map value replace it.
    """
    image, pixel = (
        (float(evaluation.scores.max()), evaluation.largest)
        if threshold is None
        else (threshold.image, threshold.pixel)
    )
    hard: Sequence[int] = hardest(evaluation.scores, test.labels, image)
    cases = [
        Case(
            image=test.images[i],
            mask=test.masks[i] if test.has_mask[i] else None,
            anomaly_map=evaluation.maps[i],
            score=float(evaluation.scores[i]),
            is_defective=not test.items[i].is_good,
            title=f"{test.items[i].defect}/{test.items[i].path.stem}",
        )
        for i in hard
    ]
    sheets = {
        names[0]: score_histogram(evaluation.scores, test.labels, image),
        names[1]: case_sheet(cases, image, pixel_threshold=pixel),
    }
    for name, sheet in sheets.items():
        encoded, data = cv2.imencode(".png", sheet)
        assert encoded
        write_atomically(folder / name, data.tobytes())
    return [folder / name for name in sheets]
