"""The images of a training run: read, prepared, split into training and held-out images."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets import Category, read_images, summarize
from dmdd_edge.data.datasets.repeats import repeats
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.train.doubts import dark, doubts
from dmdd_edge.train.synthesis.foreground import ForegroundMasks, Mask

Image = NDArray[np.uint8]
#: Images held out of a small set at most, where no share is given.
_WANTED = 20


@dataclass
class WholeImages:
    """The images of a tiled category, each scaled down to one input of the network.

    Attributes:
        images: uint8 n x S x S x 3 BGR, trained and held-out ones.
        paths: their files, in the same order.
        parts: where the part is in each, bool S x S; None for everywhere.
    """

    images: Image
    paths: list[Path]
    parts: list[Mask | None]


@dataclass
class TrainingImages:
    """Normal images, ready for the network; of a tiled category, tiles of them.

    Attributes:
        train: uint8 n x S x S x 3 BGR to learn from.
        holdout: uint8 m x S x S x 3 BGR, not trained on; without tiles, they set the threshold.
        train_paths: the files, without tiles in the same order.
        holdout_paths: likewise; no tile of them is in ``train``.
        doubts: what a user should know about them, a line each.
        foreground: where the part is in each of ``train``; None where that is not known yet.
        holdout_parts: of a tiled category, where the part is in each of ``holdout``.
        whole: of a tiled category, the images as a whole; not all of them where they are very many.
    """

    train: Image
    holdout: Image
    train_paths: list[Path]
    holdout_paths: list[Path]
    doubts: list[str] = field(default_factory=list)
    foreground: ForegroundMasks | None = None
    holdout_parts: list[Mask | None] | None = None
    whole: WholeImages | None = None


def load_images(
    category: Category,
    preprocess: Preprocess,
    size: int,
    holdout: float | None,
    seed: int,
    held_out: Collection[Path] | None = None,
) -> TrainingImages:
    """Read a category's normal images and split off the held-out ones.

    A file that cannot be read, or that the region of interest does not fit, is added to ``category.skipped``.
    The seed determines the split, ``holdout_count`` its sizes, unless ``held_out`` names the held-out files.

    Raises:
        DmddError: fewer than two images are left, or the region of interest does not fit most of them.
    """
    images: list[Image] = []
    paths: list[Path] = []
    shapes: Counter[tuple[int, int]] = Counter()
    misfits: list[DmddError] = []
    for path, image in read_images(category.usable, category.skip, preprocess.bits):
        try:
            images.append(preprocess.prepare(image, size, str(path)))
        except DmddError as error:
            misfits.append(error)
            category.skip(path, error.message)
            continue
        paths.append(path)
        height, width = preprocess.apply(image).shape[:2]
        shapes[width, height] += 1
    check_readable(category, len(images), misfits)
    if held_out is None:
        count = holdout_count(len(images), holdout)
        order = np.random.default_rng([seed, 77]).permutation(len(images)).tolist()
        kept = sorted(order[:count])
    else:
        kept = [index for index, path in enumerate(paths) if path in held_out]
    training = [index for index in range(len(images)) if index not in set(kept)]
    return TrainingImages(
        train=np.stack([images[i] for i in training]),
        holdout=np.stack([images[i] for i in kept]) if kept else np.zeros((0, size, size, 3), np.uint8),
        train_paths=[paths[i] for i in training],
        holdout_paths=[paths[i] for i in kept],
        doubts=[*doubts(shapes, size, preprocess), *dark(images, preprocess.bits), *repeats(category)],
    )


def check_readable(category: Category, count: int, misfits: Sequence[DmddError]) -> None:
    """Check that there are images to train on.

    Args:
        category: with the files that cannot be used in ``skipped``.
        count: of images that can.
        misfits: an error for each that the region of interest does not fit.

    Raises:
        DmddError: there are fewer than two, or the region does not fit most of them.
    """
    if len(misfits) > count:
        raise DataError(
            f"{misfits[0].message.rstrip('.')} ({len(misfits)} of {len(misfits) + count} images do not fit).",
            misfits[0].fix,
        )
    if count < 2:
        reason = f" (skipped {summarize(category.skipped)})" if category.skipped else ""
        raise DataError(
            f"Category {category.name} has {count} readable training image(s); "
            f"at least 2 are required{reason}.",
            fix=f"Put images of good parts into {category.train[0].parent}.",
        )


def holdout_count(images: int, share: float | None) -> int:
    """Number of normal images to hold out.

    A threshold from n images supports a false-alarm rate of 1 / (n + 1), so a tenth of a small set is too
    few. Without a share, the number is a tenth, or a quarter where that is fewer than 20 images.

    Args:
        images: at least two.
        share: of them, 0 for none; None chooses by their number.
    """
    if share == 0:
        return 0
    wanted = max(0.1 * images, min(0.25 * images, _WANTED)) if share is None else share * images
    return min(max(round(wanted), 1), images - 1)
