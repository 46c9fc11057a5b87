"""Finds training images that look out of place: a defective part among good ones makes its defect look good.

Every image is compared with the others by the teacher's features, without anything trained. Only each
image's least usual patches count, on the part where one was found. A patch is rated by its distance to the
nearest patch of the third nearest *image*, so that two images of the same part, or of the same defect, do not
excuse each other; and by how much that exceeds the same distance of its neighbors, so that what varies in
good parts too, such as a thread or a reflection, counts less (a local outlier factor).
"""

from __future__ import annotations

import math
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.train.data import TrainingImages, WholeImages
from dmdd_edge.train.model import DMDD
from dmdd_edge.train.outlier_patches import (
    NEAREST,
    all_patches,
    cells_on_part,
    squared_distances,
    unusual_patches,
)
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.synthesis.foreground import ForegroundMasks

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]

#: Number of images that run.json lists with their z-scores, named or not.
_FURTHEST = 12
#: Patches whose mean is an image's score.
_TOP = 8
#: Images compared with each other at once; more are split into groups, so that the cost stays linear.
_GROUP = 400
#: With fewer images it is unknown what is usual.
FEWEST = 8


@dataclass(frozen=True)
class Outliers:
    """How far out of place each image looks.

    Attributes:
        paths: the images.
        z: robust z-scores, float64 n; the spread is that of the upper half, so that outliers do not widen it.
        limit: images above it are named.
    """

    paths: list[Path]
    z: NDArray[np.float64]
    limit: float

    @property
    def ranked(self) -> list[tuple[Path, float]]:
        """Every image and its z-score, furthest first."""
        return [(self.paths[i], float(self.z[i])) for i in np.argsort(-self.z, kind="stable")]

    @property
    def named(self) -> list[tuple[Path, float]]:
        """The images above the limit, furthest first."""
        return [(path, z) for path, z in self.ranked if z > self.limit]

    def as_dict(self) -> dict[str, Any]:
        """As ``run.json`` keeps it: the named images, and the furthest ones, named or not."""

        def listed(items: list[tuple[Path, float]]) -> list[dict[str, Any]]:
            return [{"file": str(path), "z": round(z, 2)} for path, z in items]

        return {
            "limit": round(self.limit, 2),
            "images": listed(self.named),
            "furthest": listed(self.ranked[:_FURTHEST]),
        }


def describe(outliers: dict[str, Any] | None, shown: int = 10) -> list[str]:
    """The warning, as lines for a person; empty when no image is named.

    Args:
        outliers: as ``Outliers.as_dict`` gives it.
        shown: files to name at most.
    """
    if not outliers or not outliers["images"]:
        return []
    images = outliers["images"]
    count = len(images)
    one = count == 1
    lines = [
        f"{count} training image{'' if one else 's'} look{'s' if one else ''} out of place. "
        "A defective part among the good ones teaches that its defect is good. Check:"
    ]
    lines += [
        f"  {item['file']} ({item['z']:.1f} times the usual spread from the others)"
        for item in images[:shown]
    ]
    if count > shown:
        lines.append(f"  and {count - shown} more, in run.json")
    return lines


def outliers_of_training(model: DMDD, images: TrainingImages, parts: ForegroundMasks) -> dict[str, Any]:
    """Search a training's images, held-out ones included, since a defect there spoils the threshold.

    Of a tiled category the whole images are compared, scaled down: tiles at random places show different
    places of the part.

    Args:
        model: the trained model; its teacher alone is used.
        images: of the training.
        parts: foreground masks of the training images.

    Returns:
        as ``Outliers.as_dict``, with ``seconds``; for ``run.json``.
    """
    began = time.perf_counter()
    device = next(model.parameters()).device
    whole = images.whole
    if whole is None:
        held_out = foreground.masks(list(images.holdout), parts.method)[1]
        whole = WholeImages(
            np.concatenate([images.train, images.holdout]),
            [*images.train_paths, *images.holdout_paths],
            [*parts.masks, *held_out],
        )
    outliers = find_outliers(
        model.teacher.eval(), model.normalize, whole.images, whole.paths, whole.parts, device
    )
    return {**outliers.as_dict(), "seconds": round(time.perf_counter() - began, 1)}


def find_outliers(
    teacher: nn.Module,
    normalize: nn.Module,
    images: Image,
    paths: Sequence[Path],
    parts: Sequence[Mask | None],
    device: torch.device,
) -> Outliers:
    """Rate how far out of place each image looks among the others.

    Args:
        teacher: maps normalized images to four features; in evaluation mode.
        normalize: maps uint8 images to the teacher's input.
        images: uint8 n x S x S x 3 BGR.
        paths: their files.
        parts: where the part is in each, bool S x S; None for everywhere.
        device: where the networks are.

    Returns:
        the z-scores; all zero for fewer than ``FEWEST`` images.
    """
    count = len(images)
    if count < FEWEST:
        return Outliers(list(paths), np.zeros(count), limit(FEWEST))
    scores = np.zeros(count)
    order = np.random.default_rng(0).permutation(count)
    for group in np.array_split(order, math.ceil(count / _GROUP)):
        patches = all_patches(teacher, normalize, images[group], device)
        side = math.isqrt(patches.shape[1])
        on_part = torch.from_numpy(np.stack([cells_on_part(parts[i], side) for i in group])).to(device)
        scores[group] = outlier_scores(unusual_patches(patches, on_part)).cpu().numpy()
    return Outliers(list(paths), z_scores(scores), limit(count))


def limit(count: int) -> float:
    """The z-score above which an image is named: higher among few images, whose spread is less certain.

    Tuned on six clean folders with 734 images: three are above it, two of them visibly unusual.
    """
    return 4.5 + 40.0 / count


def z_scores(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Robust z-scores of the log scores: the spread is that of a normal distribution with the same quartile.

    Args:
        scores: positive, float64 n.
    """
    logs = np.log(np.maximum(scores, 1e-12))
    middle, upper = np.quantile(logs, (0.5, 0.75))
    spread = max((upper - middle) / 0.6745, 1e-6)
    z: NDArray[np.float64] = (logs - middle) / spread
    return z


def outlier_scores(patches: Tensor) -> Tensor:
    """Score of each image from its patches, as the module describes; larger is further out of place.

    Args:
        patches: float n x p x c, with n of at least 2.

    Returns:
        float n, positive.
    """
    count, each, width = patches.shape
    nearest = min(NEAREST, count - 1)
    flat = patches.reshape(-1, width)
    squares = (flat**2).sum(1)
    far = torch.empty(count, each, device=patches.device)
    neighbors = torch.empty(count, each, nearest, dtype=torch.long, device=patches.device)
    for index in range(count):
        distance, which = squared_distances(patches[index], flat, squares, each).min(2)
        distance[:, index] = math.inf
        closest = distance.topk(nearest, dim=1, largest=False)
        far[index] = (closest.values[:, -1] + squares.view(count, each)[index]).clamp(min=1e-12).sqrt()
        neighbors[index] = closest.indices * each + which.gather(1, closest.indices)
    usual = far.flatten()[neighbors].mean(2)
    rated = far * far / usual
    return rated.topk(min(_TOP, each), dim=1).values.mean(1).double()
