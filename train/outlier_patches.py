"""The patches that the search for outliers compares: of each image, the teacher's least usual ones."""

from __future__ import annotations

import math

import cv2
import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from dmdd_edge.train.features import to_input

#: Levels of the teacher that are compared: strides 8 and 16, where pieces of a part are distinctive.
_LEVELS = (1, 2)
#: Largest side of the grid of patches.
_SIDE = 32
#: Largest dimension of a patch's features; wider ones are randomly projected.
_WIDTH = 160
#: Patches of an image that are compared: the least usual ones, and some at random for reference.
_UNUSUAL, _RANDOM = 84, 12
#: Dimensions in which the least usual patches are searched.
_SEARCH_WIDTH = 48
#: An image is compared with its nearest few images; the farthest of these counts.
NEAREST = 3
_BATCH = 16


@torch.no_grad()
def all_patches(
    teacher: nn.Module,
    normalize: nn.Module,
    images: NDArray[np.uint8],
    device: torch.device,
) -> Tensor:
    """Features of every patch: each level normalized to length one, averaged over 3 x 3 patches.

    Args:
        teacher, normalize, images, device: as for ``outliers.find_outliers``.

    Returns:
        float16 n x P x c, P patches of a square grid in rows.
    """
    side = min(_SIDE, max(images.shape[1] // 8, 2))
    batches = []
    projection: Tensor | None = None
    for start in range(0, len(images), _BATCH):
        levels = teacher(normalize(to_input(images[start : start + _BATCH], device)))
        features = []
        for level in _LEVELS:
            x = F.normalize(levels[level].float(), dim=1)
            if x.shape[-1] > side:
                x = F.adaptive_avg_pool2d(x, side)
            elif x.shape[-1] < side:
                x = F.interpolate(x, size=(side, side), mode="bilinear", align_corners=False)
            features.append(F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))
        flat = torch.cat(features, 1).flatten(2).transpose(1, 2)
        if flat.shape[2] > _WIDTH:
            if projection is None:
                projection = _projection(flat.shape[2], _WIDTH, device)
            flat = flat @ projection
        batches.append(flat.half())
    return torch.cat(batches)


def _projection(width: int, narrow: int, device: torch.device) -> Tensor:
    """A random projection that keeps distances on average; the same each time."""
    drawn = torch.randn(width, narrow, generator=torch.Generator().manual_seed(0))
    return (drawn / math.sqrt(narrow)).to(device)


def cells_on_part(part: NDArray[np.bool_] | None, side: int) -> NDArray[np.float32]:
    """Which patches are on the part or at its edge, float32 side * side of 0 and 1."""
    if part is None:
        return np.ones(side * side, np.float32)
    reach = 2 * (part.shape[0] // 64) + 1
    wide = cv2.dilate(part.astype(np.float32), np.ones((reach, reach), np.uint8))
    cells = cv2.resize(wide, (side, side), interpolation=cv2.INTER_AREA) > 0.3
    return cells.astype(np.float32).ravel()


def unusual_patches(patches: Tensor, on_part: Tensor) -> Tensor:
    """The patches of each image that are compared: the least usual ones on the part, and a few at random.

    A patch is rated by its distance to random patches of the other images, in few dimensions.

    Args:
        patches: float16 n x P x c, with n of at least 2.
        on_part: float n x P of 0 and 1; a patch with 0 is used only when no others are left.

    Returns:
        float n x p x c.
    """
    count, each, width = patches.shape
    generator = torch.Generator().manual_seed(0)
    drawn = torch.rand(count, each, generator=generator).to(patches.device) + on_part
    some = drawn.topk(min(_RANDOM, each), dim=1).indices
    projection = _projection(width, min(_SEARCH_WIDTH, width), patches.device)
    random = _gather(patches, some)
    bank = (random @ projection).reshape(-1, projection.shape[1])
    squares = (bank**2).sum(1)
    nearest = min(NEAREST, count - 1)
    unusual = torch.empty(count, each, device=patches.device)
    for index in range(count):
        own = patches[index].float() @ projection
        distance = squared_distances(own, bank, squares, some.shape[1]).amin(2)
        distance[:, index] = math.inf
        unusual[index] = distance.topk(nearest, dim=1, largest=False).values[:, -1] + (own**2).sum(1)
    # Patches off the part come last: they count only where the part has too few.
    ranked = unusual + (unusual.max() + 1.0) * on_part
    return torch.cat([_gather(patches, ranked.topk(min(_UNUSUAL, each), dim=1).indices), random], 1)


def _gather(patches: Tensor, which: Tensor) -> Tensor:
    """Some patches of each image, float n x k x c, by their indices n x k."""
    return patches.gather(1, which[:, :, None].expand(-1, -1, patches.shape[2])).float()


def squared_distances(own: Tensor, flat: Tensor, squares: Tensor, each: int) -> Tensor:
    """Squared distances of an image's patches to those of all images, less the patches' own squares.

    Args:
        own: p x c.
        flat: the patches of n images in turn, n q x c.
        squares: their squared lengths, n q.
        each: patches of an image, q.

    Returns:
        p x n x q.
    """
    return torch.addmm(squares, own, flat.T, alpha=-2).view(len(own), -1, each)
