"""What the studies of finished runs share: the images that decide and those that do not, and the command."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import common
import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.test_set import TestSet, load_test_set
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.evaluation import run_images
from dmdd_edge.train.places import category_of, moved
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.validation.images import validation_set

_LIBRARIES = ("torch", "timm", "numpy", "opencv-python")


def good_images(run: Run, which: str) -> NDArray[np.uint8]:
    """Good images of a run, uint8 n x S x S x 3 BGR: those of "train" or of "holdout"."""
    return np.asarray(run_images(run, [Path(path) for path in run.info[which]]))


def damage_and_test(run: Run, held_out: NDArray[np.uint8], count: int) -> dict[str, TestSet]:
    """The set "validation", the held-out good images and synthetic damage on them, and the set "test".

    Args:
        run: a finished run.
        held_out: its held-out good images.
        count: damaged images of each kind.
    """
    parts = foreground.masks(list(held_out), run.info["foreground"]["method"])[1]
    return {
        "validation": validation_set(held_out, parts, count=count),
        "test": load_test_set(category_of(run), run.config.preprocess, run.config.model.image_size),
    }


def study(
    text: str | None,
    name: str,
    measure: Callable[[Run], Mapping[str, Any]],
    settings: dict[str, Any],
    arguments: Sequence[str] | None,
) -> None:
    """The command: measure each run that is given, and write the result file.

    Args:
        text: of the help.
        name: of the result file.
        measure: of one run: what is noted besides its category, steps and seed.
        settings: to be noted.
        arguments: of the command; None for the program's.
    """
    parser = common.parser(text, name)
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs")
    parser.add_argument("--data", type=Path, help="data set, where it is not in the place of the training")
    options = parser.parse_args(arguments)
    machine = common.begin()
    rows = []
    for folder in options.runs:
        run = moved(load_run(folder), options.data)
        facts = {"category": run.config.category, "steps": run.info["steps"], "seed": run.config.seed}
        rows.append({**facts, **measure(run)})
    common.write_result(options.out, machine, settings, {"runs": rows}, _LIBRARIES)
