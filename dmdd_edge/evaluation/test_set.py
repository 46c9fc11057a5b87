"""A category's test images, and the maps and scores that a predictor gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets import Category, TestImage
from dmdd_edge.data.datasets.plausible import TruthReader
from dmdd_edge.data.images import read_image
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.evaluation.metrics import Metrics, evaluate

_BATCH = 8

#: From prepared images, uint8 N x S x S x 3 BGR, to maps float32 N x S x S and scores float32 N, both 0..1.
Predictor = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]


@dataclass
class TestSet:
    """A category's readable test images, prepared.

    Attributes:
        items: the files.
        images: uint8 N x S x S x 3 BGR.
        masks: bool N x S x S; all False for good images and for defective ones without a mask.
        has_mask: bool N, whether the pixels' truth is known.
        shapes: height and width of each source image in pixels.
    """

    __test__ = False  # pytest would take the class for a test

    items: list[TestImage]
    images: NDArray[np.uint8]
    masks: NDArray[np.bool_]
    has_mask: NDArray[np.bool_]
    shapes: tuple[tuple[int, ...], ...] = ()

    @property
    def labels(self) -> NDArray[np.bool_]:
        """Whether each image is defective."""
        return np.array([not item.is_good for item in self.items])

    @property
    def defects(self) -> list[str]:
        """Each image's defect type, or "good"."""
        return [item.defect for item in self.items]


def load_test_set(category: Category, preprocess: Preprocess, size: int) -> TestSet:
    """Read a category's test images and their masks.

    What cannot be used is noted in ``category.skipped``: files that cannot be read, masks that mark nothing,
    have another shape than their image, or are inverted. An image whose mask is not used counts for the
    image-level metrics only.

    Raises:
        DmddError: the category has no test images, or none can be read.
    """
    category.require_test()
    items, images, masks, shapes = [], [], [], []
    truth = TruthReader(category)
    for item in category.test:
        try:
            source = read_image(item.path, preprocess.bits)
            image = preprocess.prepare(source, size)
        except DmddError as error:
            category.skip(item.path, error.message)
            continue
        found = truth.read(item, source.shape)
        items.append(item)
        images.append(image)
        shapes.append(source.shape[:2])
        masks.append(None if found is None else preprocess.prepare_mask(found, size))
    unused = truth.reject()
    nothing = np.zeros((size, size), np.bool_)
    for index, item in enumerate(items):
        if not unused.isdisjoint((item.mask, *item.more_masks)):
            items[index], masks[index] = TestImage(item.path, item.defect, None), nothing
    if not items:
        raise DataError(
            f"None of the test images of {category.name} can be read.",
            fix=f"Check the files in {category.root}/test.",
        )
    truths = np.stack([nothing if mask is None else mask for mask in masks])
    has_mask = np.array([item.has_mask for item in items])
    return TestSet(items, np.stack(images), truths, has_mask, tuple(shapes))


def predict_all(
    predict: Predictor, images: NDArray[np.uint8], progress: Callable[[int], None] | None = None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Predict many images in batches: maps float32 N x S x S and scores float32 N."""
    maps = np.zeros(images.shape[:3], np.float32)
    scores = np.zeros(len(images), np.float32)
    for part in _batches(len(images)):
        maps[part], scores[part] = predict(images[part])
        if progress is not None:
            progress(part.stop)
    return maps, scores


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, _BATCH):
        yield slice(start, min(start + _BATCH, count))


@dataclass
class Evaluation:
    """The maps and scores of a test set, and the figures that they reach."""

    metrics: Metrics
    maps: NDArray[np.float32]
    scores: NDArray[np.float32]


def evaluate_predictor(
    predict: Predictor, test: TestSet, progress: Callable[[int], None] | None = None
) -> Evaluation:
    """Predict a test set and measure the result."""
    maps, scores = predict_all(predict, test.images, progress)
    return Evaluation(
        evaluate(scores, test.labels, maps, test.masks, test.defects, test.has_mask), maps, scores
    )
