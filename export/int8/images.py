"""The images that INT8 is made and judged with, each for one purpose: no image chooses and decides."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.data.spread import spread
from dmdd_edge.evaluation.test_set import TestSet
from dmdd_edge.evaluation.views import Views
from dmdd_edge.export.int8.tiled_images import tile_set, whole_set
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.evaluation import holdout_images, run_images
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.validation.images import validation_set

#: Good images at most, and damaged images of each of the eight kinds.
_RANGES, _CHOICE, _GATE = (32, 2), (24, 8), (60, 6)
#: The same for the whole images of a run with tiles, each of which has many.
_WHOLE = (24, 2)
#: Images at most of which each place is measured alone.
_SENSITIVITY = 12
#: Good images at most that floors are measured on.
_FLOORS = 8
#: Seeds of the made damage, all different.
_SEEDS = (21001, 21002, 21003)


@dataclass(frozen=True)
class Int8Images:
    """See the module.

    Attributes:
        ranges: uint8 N x S x S x 3: good training images, and damage made on them; with tiles, tiles of them.
        choice: held-out good images, and damage made on them, by which places are chosen; likewise tiles.
        gate: the same with other damage, by which the written file is judged; whole images.
        good: a few of the good images of ``ranges``, for floors.
    """

    ranges: NDArray[np.uint8]
    choice: TestSet
    gate: TestSet
    good: NDArray[np.uint8]

    @property
    def sensitivity(self) -> NDArray[np.uint8]:
        """Some of the images of the choice, the damaged ones first."""
        order = np.argsort(~self.choice.labels, kind="stable")
        return np.stack([self.choice.images[int(i)] for i in order[spread(len(order), _SENSITIVITY)]])


def int8_images(run: Run) -> Int8Images:
    """The images of a run.

    Raises:
        DmddError: the run held out no images, or files are missing.
    """
    method = run.info["foreground"]["method"]
    training = [Path(path) for path in run.info["train"]]
    training = [training[i] for i in spread(len(training), _RANGES[0])]
    normals = (run_images(run, [path for path in training if path.is_file()]), holdout_images(run))
    trained, held_out = normals
    if isinstance(trained, Views) and isinstance(held_out, Views):
        ranges = tile_set(trained, _RANGES[0], method, seed=_SEEDS[0], count=_RANGES[1])
        return Int8Images(
            np.asarray(ranges.images),
            tile_set(held_out, _CHOICE[0], method, seed=_SEEDS[1], count=_CHOICE[1]),
            whole_set(held_out, _WHOLE[0], seed=_SEEDS[2], count=_WHOLE[1]),
            _good(ranges),
        )
    sets = []
    for images, (most, count), seed in zip(
        (normals[0], normals[1], normals[1]), (_RANGES, _CHOICE, _GATE), _SEEDS, strict=True
    ):
        some = np.stack([images[i] for i in spread(len(images), most)])
        parts = foreground.masks(list(some), method)[1]
        sets.append(validation_set(some, parts, seed=seed, count=count))
    return Int8Images(np.asarray(sets[0].images), sets[1], sets[2], _good(sets[0]))


def _good(test: TestSet) -> NDArray[np.uint8]:
    numbers = np.flatnonzero(~test.labels)
    return np.stack([test.images[int(numbers[i])] for i in spread(len(numbers), _FLOORS)])
