"""The bank of tiles that a training learns from: read image by image, within a budget of memory.

The images are divided into trained and held-out ones first, so that no tile of a held-out image is learned.
Then each is read once: the part is found on the whole image scaled down, and tiles are cut at random places.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.datasets import Category
from dmdd_edge.data.datasets.repeats import repeats
from dmdd_edge.data.images import read_image, resize
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Layout
from dmdd_edge.errors import DataError, DmddError
from dmdd_edge.train.config import Foreground
from dmdd_edge.train.data import TrainingImages, WholeImages, check_readable, holdout_count
from dmdd_edge.train.doubts import dark, doubts
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.synthesis.foreground import ForegroundMasks, Mask, Method
from dmdd_edge.train.tile_choice import usual_geometry
from dmdd_edge.train.tile_places import draw_places, part_of_tile

Image = NDArray[np.uint8]
#: Most tiles of a bank: the longest training passes twelve times over them.
MOST_TILES = 2000
#: Bytes of the bank and of the whole images together; the latter take a third at most.
BUDGET = 800 * 2**20
#: Of each place of a tile in an image, this number of tiles is drawn at most: more would repeat them.
_EACH_PLACE = 2
#: Share of the bank that are whole images, where the detector evaluates them too. They are one input of many,
#: but one that shows the whole part: with a quarter of the steps, the student learns them about as long as a
#: training on whole images does where these are few.
COARSE_SHARE = 0.25
#: Held-out tiles, from which the weights of the maps are chosen; one of each held-out image at least.
HELD_OUT_TILES = 96
#: Images whose foreground decides how it is found.
_PROBES = 12
#: Stream of random numbers of the places.
_STREAM = 78


@dataclass
class _Bank:
    """What is filled while the images are read; the arrays are as large as the budget, and filled in part."""

    tiles: Image
    whole: Image
    parts: list[Mask | None] = field(default_factory=list)
    whole_paths: list[Path] = field(default_factory=list)
    whole_parts: list[Mask | None] = field(default_factory=list)
    held_out: list[Image] = field(default_factory=list)
    held_out_parts: list[Mask | None] = field(default_factory=list)
    train_paths: list[Path] = field(default_factory=list)
    holdout_paths: list[Path] = field(default_factory=list)
    failed: int = 0

    def add(self, tile: Image, part: Mask | None) -> None:
        self.tiles[len(self.parts)] = tile
        self.parts.append(part)

    def add_whole(self, image: Image, path: Path, part: Mask | None) -> None:
        if len(self.whole_paths) < len(self.whole):
            self.whole[len(self.whole_paths)] = image
            self.whole_paths.append(path)
            self.whole_parts.append(part)


def load_tiles(
    category: Category,
    preprocess: Preprocess,
    size: int,
    holdout: float | None,
    seed: int,
    kind: Foreground,
    held_out: Collection[Path] | None = None,
    progress: Callable[[int, int], None] = lambda done, total: None,
) -> TrainingImages:
    """Read a category's normal images one by one and draw tiles from each.

    A file that cannot be used is added to ``category.skipped``. The seed determines the division into trained
    and held-out images and every place; the number of images and of tiles, the size of the bank.

    Args:
        category: its images.
        preprocess: with a tiling.
        size: S, side of the network's input.
        holdout: share of the images to hold out; see ``holdout_count``.
        seed: of the run.
        kind: how the part is found.
        held_out: the held-out files, where they are known.
        progress: called with the images done and their count.

    Raises:
        DmddError: fewer than two images are left, the region of interest does not fit most of them, or a tile
            covers all of them.
    """
    assert preprocess.tiling is not None
    numbers = np.random.default_rng([seed, 77]).permutation(len(category.train)).tolist()
    paths = [category.train[number] for number in numbers]
    wanted = holdout_count(len(paths), holdout) if len(paths) > 1 and held_out is None else 0
    plan = _planned(preprocess, paths, size, len(paths) - (wanted if held_out is None else len(held_out)))
    bank = _Bank(
        np.empty((plan.capacity, size, size, 3), np.uint8),
        np.empty((min(len(paths), plan.most_whole), size, size, 3), np.uint8),
    )
    method = _method(kind, paths, preprocess, size)
    shapes: Counter[tuple[int, int]] = Counter()
    misfits: list[DmddError] = []
    several, usable = False, frozenset(category.usable)
    for done, (number, path) in enumerate(zip(numbers, paths, strict=True)):
        progress(done, len(paths))
        if path not in usable:
            continue
        try:
            image = read_image(path, preprocess.bits)
        except DmddError as error:
            category.skip(path, error.message.removeprefix(f"{path}: "))
            continue
        try:
            view = preprocess.prepare(image, size, str(path))
        except DmddError as error:
            misfits.append(error)
            category.skip(path, error.message)
            continue
        geometry = preprocess.geometry(image.shape, size)
        shapes[geometry.part[2], geometry.part[3]] += 1
        layout = geometry.layout
        several |= len(layout.places) > 1
        del image
        whole = resize(view, size)
        part = _part(method, whole)
        bank.failed += method != "none" and part is None
        is_held = len(bank.holdout_paths) < wanted if held_out is None else path in held_out
        (bank.holdout_paths if is_held else bank.train_paths).append(path)
        bank.add_whole(whole, path, part)
        rng = np.random.default_rng([seed, _STREAM, number])
        count = plan.held_each if is_held else plan.next_count(len(bank.train_paths) - 1, layout)
        for place in draw_places(layout, part, count, rng):
            row, column = place
            tile = view[row : row + size, column : column + size]
            shown = part_of_tile(layout, part, place)
            if is_held:
                bank.held_out.append(tile.copy())
                bank.held_out_parts.append(shown)
            else:
                bank.add(tile, shown)
    progress(len(paths), len(paths))
    _check(category, bank, misfits, several)
    if preprocess.tiling.coarse:
        _add_coarse(bank, plan.capacity)
    return TrainingImages(
        train=bank.tiles[: len(bank.parts)],
        holdout=np.stack(bank.held_out) if bank.held_out else np.zeros((0, size, size, 3), np.uint8),
        train_paths=bank.train_paths,
        holdout_paths=bank.holdout_paths,
        doubts=[
            *doubts(shapes, size, preprocess),
            *dark(bank.whole[: len(bank.whole_paths)], preprocess.bits),
            *repeats(category),
        ],
        foreground=ForegroundMasks(method, bank.parts, bank.failed),
        holdout_parts=bank.held_out_parts,
        whole=WholeImages(bank.whole[: len(bank.whole_paths)], bank.whole_paths, bank.whole_parts),
    )


@dataclass(frozen=True)
class _Plan:
    """How many tiles are drawn.

    Attributes:
        capacity: of the bank, whole images included.
        most_whole: whole images that are kept.
        tiles: of all training images together.
        images: number of training images.
        held_each: tiles of a held-out image.
    """

    capacity: int
    most_whole: int
    tiles: int
    images: int
    held_each: int

    def next_count(self, index: int, layout: Layout) -> int:
        """Tiles of the training image with this number; spread evenly over the images."""
        share = (index + 1) * self.tiles // self.images - index * self.tiles // self.images
        return min(share, _EACH_PLACE * len(layout.places))


def _planned(preprocess: Preprocess, paths: Sequence[Path], size: int, images: int) -> _Plan:
    """The numbers for some training images, by the size that most of the images have."""
    images = max(images, 1)
    each = size * size * 3
    most_whole = BUDGET // 3 // each
    left = BUDGET // each - min(len(paths), most_whole)
    geometry = usual_geometry(preprocess, paths, size)
    places = 1 if geometry is None else len(geometry.layout.places)
    coarse = COARSE_SHARE if preprocess.tiling is not None and preprocess.tiling.coarse else 0.0
    # Without a size in the headers, each image may have any number of places.
    tiles = MOST_TILES if geometry is None else min(MOST_TILES, _EACH_PLACE * places * images)
    capacity = min(left, round(tiles / (1 - coarse)) + 1)
    held = max(len(paths) - images, 1)
    held_each = min(max(HELD_OUT_TILES // held, 1), _EACH_PLACE * places)
    return _Plan(capacity, most_whole, min(tiles, int(capacity * (1 - coarse))), images, held_each)


def tiles_to_come(preprocess: Preprocess, paths: Sequence[Path], size: int, holdout: float | None) -> int:
    """How many tiles a bank of these images is expected to have, whole images included.

    Args:
        preprocess: with a tiling.
        paths: the files of the good images.
        size: S, side of the network's input.
        holdout: share of the images to hold out; see ``holdout_count``.
    """
    held = holdout_count(len(paths), holdout) if len(paths) > 1 else 0
    plan = _planned(preprocess, paths, size, len(paths) - held)
    coarse = COARSE_SHARE if preprocess.tiling is not None and preprocess.tiling.coarse else 0.0
    return min(round(plan.tiles / (1 - coarse)), plan.capacity)


def _method(kind: Foreground, paths: Sequence[Path], preprocess: Preprocess, size: int) -> Method:
    """How the part is found, by a few whole images."""
    if kind != "auto":
        return kind
    probes = []
    for path in paths[: 2 * _PROBES]:
        try:
            view = preprocess.prepare(read_image(path, preprocess.bits), size)
        except DmddError:
            continue
        probes.append(resize(view, size))
        if len(probes) == _PROBES:
            break
    return foreground.choose(probes) if probes else "none"


def _part(method: Method, whole: Image) -> Mask | None:
    return foreground.masks([whole], method)[1][0]


def _check(category: Category, bank: _Bank, misfits: Sequence[DmddError], several: bool) -> None:
    """Check that there is something to learn; errors as of ``load_tiles``."""
    count = len(bank.train_paths) + len(bank.holdout_paths)
    check_readable(category, count, misfits)
    if not several:
        raise DataError(
            f"One tile covers each of the {count} images of {category.name}.",
            "Give a smaller --tile, or leave it out.",
        )
    if not bank.parts:
        raise DataError(
            f"Only {count} of {len(category.train)} images of {category.name} can be read: none is left to "
            "train on.",
            "Remove the others.",
        )


def _add_coarse(bank: _Bank, capacity: int) -> None:
    """Add the whole training images, so often that they have their share of the bank."""
    held = set(bank.holdout_paths)
    own = [index for index, path in enumerate(bank.whole_paths) if path not in held]
    wanted = max(round(len(bank.parts) * COARSE_SHARE / (1 - COARSE_SHARE)), min(len(own), 1))
    for number in range(min(wanted, capacity - len(bank.parts)) if own else 0):
        index = own[number % len(own)]
        bank.add(bank.whole[index], bank.whole_parts[index])
