"""The images of an experiment: a data set as it is, or a folder of links to a changed selection."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from accuracy.declaration import Experiment
from dmdd_edge.data.datasets import Category, TestImage, load_category

#: Share of the training images whose number of defective images is removed from the test set of every
#: contaminated run, whatever its own share, so that all are measured on the same images.
RESERVED = 0.05
#: Maximum number of unused normal images that validate a few-shot run.
_SPARE = 32


@dataclass
class Prepared:
    """An experiment's data.

    Attributes:
        data: folder of the data set to train on.
        spare: unused normal images, for validation.
        defective: defective images in the training folder.
    """

    data: Path
    spare: list[Path] = field(default_factory=list)
    defective: list[Path] = field(default_factory=list)


def prepare(experiment: Experiment, root: Path, work: Path) -> Prepared:
    """Prepare an experiment's data.

    Args:
        experiment: the declaration.
        root: folder of the data sets.
        work: folder for the links; those of an earlier call for this experiment are replaced.

    Raises:
        DmddError: the data set or the category does not exist.
    """
    source = root / experiment.data
    if experiment.images is None and experiment.defective is None:
        return Prepared(source)
    category = load_category(source, experiment.category)
    train, test = list(category.train), list(category.test)
    spare: list[Path] = []
    if experiment.images is not None:
        order = np.random.default_rng([experiment.seed, 101]).permutation(len(train)).tolist()
        chosen = order[: experiment.images]
        spare = [train[i] for i in order[experiment.images :][:_SPARE]]
        train = [train[i] for i in sorted(chosen)]
    added: list[TestImage] = []
    if experiment.defective is not None:
        reserved = _in_turns(category, experiment.seed)[: _count(max(experiment.defective, RESERVED), train)]
        test = [item for item in test if item not in reserved]
        added = reserved[: _count(experiment.defective, train)]
    folder = work / experiment.name
    shutil.rmtree(folder, ignore_errors=True)
    return Prepared(folder, spare, _link(folder / experiment.category, train, added, test))


def _count(share: float, normals: Sequence[Path]) -> int:
    """Number of images to add to the normal ones so that they are this share of all."""
    return round(share * len(normals) / (1.0 - share))


def _in_turns(category: Category, seed: int) -> list[TestImage]:
    """The defective test images, alternating between the defect types, shuffled within each type."""
    rng = np.random.default_rng([seed, 102])
    queues = []
    for defect in category.defects:
        items = [item for item in category.test if item.defect == defect]
        queues.append([items[i] for i in rng.permutation(len(items))])
    longest = max((len(queue) for queue in queues), default=0)
    return [queue[turn] for turn in range(longest) for queue in queues if turn < len(queue)]


def _link(
    folder: Path, train: Sequence[Path], added: Sequence[TestImage], test: Sequence[TestImage]
) -> list[Path]:
    """Link a category in MVTec AD's layout; returns the links of the added images."""
    good = folder / "train" / "good"
    for path in train:
        _point(good / path.name, path)
    links = [good / f"{item.defect}_{item.path.name}" for item in added]
    for link, item in zip(links, added, strict=True):
        _point(link, item.path)
    for item in test:
        _point(folder / "test" / item.defect / item.path.name, item.path)
        if item.mask is not None:
            mask = f"{item.path.stem}_mask{item.mask.suffix}"
            _point(folder / "ground_truth" / item.defect / mask, item.mask)
    return links


def _point(link: Path, target: Path) -> None:
    link.parent.mkdir(parents=True, exist_ok=True)
    link.symlink_to(target.resolve())
