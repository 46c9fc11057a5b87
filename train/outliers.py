"""Training images that look out of place: a defective part among good ones teaches that its defect is good.

Every image is held against the others by the teacher's features, without anything trained. Of each image the
patches that are least usual are looked at, on the part where one was found. A patch is judged by its distance
to the nearest patch of the third nearest *image*, so that two images of the same part, or of the same defect,
do not excuse each other; and by how much that exceeds the same distance of its neighbors, so that what
varies in good parts too, such as a thread or a reflection, counts for less (a local outlier factor).
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

from dmdd_edge.train.data import TrainingImages
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

#: Images that are kept in run.json with how far out they are, named or not.
_FURTHEST = 12
#: Patches whose mean makes an image's score.
_TOP = 8
#: Images held against each other at once; more are split, so that the work grows with their number alone.
_GROUP = 400
#: Fewer images do not show what is usual.
FEWEST = 8


@dataclass(frozen=True)
class Outliers:
    """How far out of place each image looks.

    Attributes:
        paths: the images.
        z: spreads above the middle, float64 n; the spread is the upper half's own, so that it is not widened
            by the outliers themselves.
        limit: what is above it is named.
    """

    paths: list[Path]
    z: NDArray[np.float64]
    limit: float

    @property
    def ranked(self) -> list[tuple[Path, float]]:
        """Every image and its spreads, furthest first."""
        return [(self.paths[i], float(self.z[i])) for i in np.argsort(-self.z, kind="stable")]

    @property
    def named(self) -> list[tuple[Path, float]]:
        """The images above the limit, furthest first."""
        return [(path, z) for path, z in self.ranked if z > self.limit]

    def as_dict(self) -> dict[str, Any]:
        """For ``run.json``: the images to warn of, and the furthest ones whether or not they are named."""

        def listed(items: list[tuple[Path, float]]) -> list[dict[str, Any]]:
            return [{"file": str(path), "z": round(z, 2)} for path, z in items]

        return {
            "limit": round(self.limit, 2),
            "images": listed(self.named),
            "furthest": listed(self.ranked[:_FURTHEST]),
        }


def describe(found: dict[str, Any] | None, shown: int = 10) -> list[str]:
    """The warning, as lines for a person; none when no image is named.

    Args:
        found: as ``Outliers.as_dict`` gives it.
        shown: files to name at most.
    """
    if not found or not found["images"]:
        return []
    images = found["images"]
    count = len(images)
    one = count == 1
    lines = [
        f"{count} training image{'' if one else 's'} look{'s' if one else ''} out of place. "
        "A defective part among the good ones teaches that its defect is good: look at"
    ]
    lines += [f"  {item['file']} ({item['z']:.1f} spreads above the middle)" for item in images[:shown]]
    if count > shown:
        lines.append(f"  and {count - shown} more, in run.json")
    return lines


def outliers_of_training(model: DMDD, images: TrainingImages, found: ForegroundMasks) -> dict[str, Any]:
    """Search a training's images, those held out for the threshold too: one defect there spoils it.

    Args:
        model: the trained model; its teacher alone is used.
        images: what was trained with.
        found: foreground masks of the images that were learnt from.

    Returns:
        as ``Outliers.as_dict``, with ``seconds``; for ``run.json``.
    """
    began = time.perf_counter()
    device = next(model.parameters()).device
    held = foreground.masks(list(images.holdout), found.method)[1]
    outliers = find_outliers(
        model.teacher.eval(),
        model.normalize,
        np.concatenate([images.train, images.holdout]),
        [*images.train_paths, *images.holdout_paths],
        [*found.masks, *held],
        device,
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
    """Judge how far out of place each image looks among the others.

    Args:
        teacher: maps normalized images to four features; in evaluation mode.
        normalize: maps uint8 images to the teacher's input.
        images: uint8 n x S x S x 3 BGR.
        paths: their files.
        parts: where the part is in each, bool S x S; None for everywhere.
        device: where the networks are.

    Returns:
        the scores; all zero for fewer than ``FEWEST`` images.
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
    return Outliers(list(paths), spreads(scores), limit(count))


def limit(count: int) -> float:
    """From how many spreads on an image is named: more among few images, whose spread is known less well.

    Found on six clean folders with 734 images: three are above it, two of which have something to see.
    """
    return 4.5 + 40.0 / count


def spreads(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    """Log scores as spreads above their median; a spread is that of a normal law with the same quartile.

    Args:
        scores: positive, float64 n.
    """
    logs = np.log(np.maximum(scores, 1e-12))
    middle, upper = np.quantile(logs, (0.5, 0.75))
    spread = max((upper - middle) / 0.6745, 1e-6)
    found: NDArray[np.float64] = (logs - middle) / spread
    return found


def outlier_scores(patches: Tensor) -> Tensor:
    """Score of each image from its patches, as the module says; larger is further out of place.

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
    judged = far * far / usual
    return judged.topk(min(_TOP, each), dim=1).values.mean(1).double()
