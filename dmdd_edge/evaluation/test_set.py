"""A category's test images, and the maps and scores that a predictor gives them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets import Category, TestImage
from dmdd_edge.data.datasets.plausible import TruthReader
from dmdd_edge.data.images import read_image
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.evaluation.metrics import Metrics, alone_figures, evaluate, evaluate_counts
from dmdd_edge.evaluation.pixel_counts import PixelCounts, require_finite
from dmdd_edge.evaluation.tiled import infer_tiles
from dmdd_edge.evaluation.value_bins import ValueBins
from dmdd_edge.evaluation.views import Images, Maps, Masks, Truth, Views

_BATCH = 8

#: From prepared images, uint8 N x S x S x 3 BGR, to maps float32 N x S x S and scores float32 N, both 0..1.
Predictor = Callable[[NDArray[np.uint8]], tuple[NDArray[np.float32], NDArray[np.float32]]]
#: Called with an image's number, its view, uint8 rows x columns x 3 BGR, and its map, float32 rows x columns.
Watch = Callable[[int, NDArray[np.uint8], NDArray[np.float32]], None]


@dataclass
class TestSet:
    """A category's readable test images, prepared.

    Attributes:
        items: the files.
        images: uint8 N x S x S x 3 BGR; of a tiled category ``Views``, which are read when needed.
        masks: bool, N of the images' sizes; all False for good images and for defective ones without a mask.
        has_mask: bool N, whether the pixels' truth is known.
        shapes: height and width of each source image in pixels.
    """

    __test__ = False  # pytest would take the class for a test

    items: list[TestImage]
    images: Images
    masks: Truth
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
    image-level metrics only. The images of a tiled category are read once here, and again when needed.

    Raises:
        DmddError: the category has no test images, or none can be read.
    """
    category.require_test()
    tiled = preprocess.tiling is not None
    items: list[TestImage] = []
    images: list[NDArray[np.uint8]] = []
    masks: list[Masks | NDArray[np.bool_] | None] = []
    shapes: list[tuple[int, ...]] = []
    truth = TruthReader(category)
    for item in category.test:
        try:
            source = read_image(item.path, preprocess.bits)
            if tiled:
                preprocess.check(source.shape, str(item.path))
            else:
                images.append(preprocess.prepare(source, size))
        except DmddError as error:
            category.skip(item.path, error.message)
            continue
        found = truth.read(item, source.shape)
        items.append(item)
        shapes.append(source.shape[:2])
        mask = None if found is None else preprocess.prepare_mask(found, size)
        masks.append(Masks.of([mask]) if tiled and mask is not None else mask)
    unused = truth.reject()
    for index, item in enumerate(items):
        if not unused.isdisjoint((item.mask, *item.more_masks)):
            items[index], masks[index] = TestImage(item.path, item.defect, None), None
    if not items:
        raise DataError(
            f"None of the test images of {category.name} can be read.",
            fix=f"Check the files in {category.root}/test.",
        )
    has_mask = np.array([item.has_mask for item in items])
    if tiled:
        views = Views(tuple(item.path for item in items), preprocess, size)
        empty = [np.broadcast_to(np.False_, preprocess.geometry(shape, size).shape) for shape in shapes]
        packed = [
            mask.packed[0] if isinstance(mask, Masks) else Masks.of([nothing]).packed[0]
            for mask, nothing in zip(masks, empty, strict=True)
        ]
        return TestSet(items, views, Masks(tuple(packed)), has_mask, tuple(shapes))
    nothing = np.zeros((size, size), np.bool_)
    truths = np.stack([mask if isinstance(mask, np.ndarray) else nothing for mask in masks])
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


def scores_of(
    predict: Predictor,
    images: Images,
    progress: Callable[[int], None] | None = None,
    watch: Watch | None = None,
) -> NDArray[np.float32]:
    """The scores of many images, float32 N; of a tiled category those of whole images.

    Args:
        predict: of the network's inputs.
        images: arrays go through the network in batches, views one by one and tile by tile.
        progress: called with the number of images done.
        watch: called with each map, which is not kept.
    """
    scores = np.zeros(len(images), np.float32)
    if isinstance(images, Views):
        for index in range(len(images)):
            view, layout = images.read(index)
            joined, scores[index] = infer_tiles(predict, view, layout)
            if watch is not None:
                watch(index, view, joined)
            if progress is not None:
                progress(index + 1)
        return scores
    for part in _batches(len(images)):
        maps, scores[part] = predict(images[part])
        if watch is not None:
            for index, item in enumerate(maps, part.start):
                watch(index, images[index], item)
        if progress is not None:
            progress(part.stop)
    return scores


def _batches(count: int) -> Iterator[slice]:
    for start in range(0, count, _BATCH):
        yield slice(start, min(start + _BATCH, count))


@dataclass(frozen=True)
class ComputedMaps(Sequence[NDArray[np.float32]]):
    """Joined maps that are not kept: each is computed again when it is needed.

    Attributes:
        predict: as the maps were computed; must still run.
        views: of the images.
    """

    predict: Predictor = field(repr=False)
    views: Views

    def __len__(self) -> int:
        return len(self.views)

    def __getitem__(self, index: int) -> NDArray[np.float32]:  # type: ignore[override]
        return infer_tiles(self.predict, *self.views.read(index))[0]


@dataclass
class Evaluation:
    """The maps and scores of a test set, and the figures that they reach.

    Attributes:
        metrics: the figures.
        maps: float32 N x S x S; of a tiled category ``ComputedMaps``.
        scores: float32 N.
        pixels: of a tiled category, what was counted while the maps were there; else None.
    """

    metrics: Metrics
    maps: Maps
    scores: NDArray[np.float32]
    pixels: CountedPixels | None = None

    @property
    def largest(self) -> float:
        """The largest value of all maps."""
        if self.pixels is not None:
            return self.pixels.largest
        return float(np.asarray(self.maps).max())


class CountedPixels:
    """Counts the pixels of a test set's maps, one map after the other.

    Args:
        test: the test set.

    Attributes:
        counts: of the pixels with a known truth, by defect type; empty before the first map.
        largest: value of all maps.
        aurocs: pixel AUROC of each defective image by itself, by its number.
    """

    def __init__(self, test: TestSet) -> None:
        self._test = test
        self._alone: list[float] = []
        self._bins: ValueBins | None = None
        self.counts: dict[str, PixelCounts] = {}
        self.largest = 0.0
        self.aurocs: dict[int, float] = {}

    def add(self, index: int, anomaly_map: NDArray[np.float32]) -> None:
        """Count a map.

        Raises:
            DmddError: it contains NaN or infinity.
        """
        require_finite(anomaly_map)
        self.largest = max(self.largest, float(anomaly_map.max()))
        if self._bins is None:
            bins = self._bins = ValueBins.of(anomaly_map)
            self.counts = {name: PixelCounts.empty(bins) for name in dict.fromkeys(self._test.defects)}
        if not self._test.has_mask[index]:
            return
        mask = self._test.masks[index]
        self.counts[self._test.items[index].defect].count(self._bins, anomaly_map, mask)
        if mask.any() and (alone := alone_figures(anomaly_map, mask)) is not None:
            self.aurocs[index] = alone[0]
            self._alone.append(alone[1])

    def metrics(self, scores: NDArray[np.float32]) -> Metrics:
        """The figures of the test set."""
        return evaluate_counts(scores, self._test.labels, self.counts, self._test.defects, self._alone)


def evaluate_predictor(
    predict: Predictor,
    test: TestSet,
    progress: Callable[[int], None] | None = None,
    watch: Watch | None = None,
) -> Evaluation:
    """Predict a test set and measure the result.

    Args:
        predict: of the network's inputs.
        test: the images.
        progress: called with the number of images done.
        watch: called with each map.
    """
    if isinstance(test.images, Views):
        pixels = CountedPixels(test)

        def count(index: int, view: NDArray[np.uint8], anomaly_map: NDArray[np.float32]) -> None:
            pixels.add(index, anomaly_map)
            if watch is not None:
                watch(index, view, anomaly_map)

        scores = scores_of(predict, test.images, progress, count)
        return Evaluation(pixels.metrics(scores), ComputedMaps(predict, test.images), scores, pixels)
    maps, scores = predict_all(predict, test.images, progress)
    if watch is not None:
        for index, item in enumerate(maps):
            watch(index, test.images[index], item)
    masks = np.asarray(test.masks)
    return Evaluation(evaluate(scores, test.labels, maps, masks, test.defects, test.has_mask), maps, scores)
