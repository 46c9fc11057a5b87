"""Continue a finished run with more good images: which images it has, their use, and what they may not be.

The images of the run keep their use: those held out before stay held out, since a threshold from images that
were trained on would be too low. The new ones are split into trained and held out too. The lists are written
into the new run's folder before its first step, so that a resumed run has the same images whatever comes into
the folders meanwhile.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from dmdd_edge.data.datasets import Category, load_category
from dmdd_edge.data.datasets.remarks import count
from dmdd_edge.data.datasets.repeats import fingerprint_of, same_content
from dmdd_edge.errors import DataError, DmddError, TrainingError
from dmdd_edge.train.data import holdout_count
from dmdd_edge.train.image_lists import (
    damaged,
    known_fingerprints,
    named,
    require_all,
    require_unchanged,
)
from dmdd_edge.train.length import continued_steps
from dmdd_edge.train.places import find_images, follow, located, of_training, portable
from dmdd_edge.train.run_folder import CONTINUED, FACTS, read_json, write_json

if TYPE_CHECKING:
    from dmdd_edge.train.config import TrainConfig


@dataclass(frozen=True)
class Continuation:
    """The images of a continued run.

    Attributes:
        root: the category's folder of the run that is continued.
        train, holdout: all images by their use, old and new, absolute.
        added: the new ones among them.
        parent: for run.json: the run that is continued, its steps and its images.
        full_steps: of a training from the start on all of these images, as the run was trained.
        steps: chosen for this one.
        notes: what a user should know, a line each.
    """

    root: Path
    train: tuple[Path, ...]
    holdout: tuple[Path, ...]
    added: tuple[Path, ...]
    parent: dict[str, Any]
    full_steps: int
    steps: int
    notes: tuple[str, ...] = ()


def plan_continuation(folder: Path, config: TrainConfig) -> Continuation:
    """Choose the images of a continued run; nothing is written.

    Args:
        folder: of the run that is continued, which is finished.
        config: of the new run: ``parent``, where the old images are (``data``), and the share held out.

    Raises:
        DataError: images of the run are missing, or there is no new image.
        TrainingError: the run's facts cannot be read.
    """
    assert config.parent is not None
    facts = read_json(folder / FACTS)
    if not named(facts, ("train", "holdout")):
        raise TrainingError(
            f"{folder} does not name its images, so it cannot be continued.",
            "Train again from the start on all images.",
        )
    root = find_images(config.data, config.category).root.absolute()
    old = follow(located(facts), root)
    train, holdout = ([Path(path) for path in old[name]] for name in ("train", "holdout"))
    require_all(
        [*train, *holdout],
        f"of the run {folder}",
        "Restore them, or say where its data set is now with --data DIR.",
    )
    new, notes = _new_images(config.parent.add, config.category, [*train, *holdout])
    chosen = _held_out(new, config)
    full = facts.get("parent", {}).get("full_steps") or facts["steps"]
    kept = len(train) + len(new) - len(chosen)
    full = max(1, round(full * kept / max(len(train), 1)))
    steps = continued_steps(full, kept, len(new) - len(chosen))
    notes.append(
        f"continuing {folder}: {len(train)} old and {len(new) - len(chosen)} new images to train on, "
        f"{len(holdout)} old and {len(chosen)} new held out"
    )
    return Continuation(
        root=root,
        train=(*train, *(path for path in new if path not in chosen)),
        holdout=(*holdout, *(path for path in new if path in chosen)),
        added=tuple(new),
        parent={
            "run": str(folder.absolute()),
            "steps": facts["steps"],
            "train": len(train),
            "holdout": len(holdout),
            "full_steps": full,
        },
        full_steps=full,
        steps=steps,
        notes=tuple(notes),
    )


def write_continuation(folder: Path, images: Continuation) -> None:
    """Write the images of a continued run into its folder.

    Raises:
        StorageError: it cannot be written.
    """
    write_json(
        folder / CONTINUED,
        portable(
            {
                "root": str(images.root),
                "train": [str(path) for path in images.train],
                "holdout": [str(path) for path in images.holdout],
                "added": [str(path) for path in images.added],
                "fingerprints": [fingerprint_of(path) for path in (*images.train, *images.holdout)],
                "parent": images.parent,
            }
        ),
    )


def read_continuation(folder: Path, config: TrainConfig) -> dict[str, Any]:
    """What ``write_continuation`` wrote, with absolute paths at the place where the data set is now.

    Raises:
        TrainingError: it is missing or damaged.
    """
    file = folder / CONTINUED
    facts = read_json(file)
    if not named(facts, ("train", "holdout", "added")):
        raise damaged(file)
    return follow(located(facts), find_images(config.data, config.category).root.absolute())


def check_images(folder: Path, facts: dict[str, Any]) -> None:
    """Check that a continued run that is resumed has the images that it began with.

    Args:
        folder: of the run.
        facts: as ``read_continuation`` gives them.

    Raises:
        TrainingError: they are damaged.
        DataError: images are missing, or have other content.
    """
    images = of_training(facts)
    require_unchanged(images, known_fingerprints(facts, images, folder / CONTINUED))


def held_out(folder: Path, config: TrainConfig) -> frozenset[Path]:
    """The held-out images of a continued run."""
    return frozenset(Path(path) for path in read_continuation(folder, config)["holdout"])


def _new_images(folders: Iterable[Path], name: str, old: Sequence[Path]) -> tuple[list[Path], list[str]]:
    """The images of folders that the run does not have yet, each content once; and remarks."""
    found: dict[Path, None] = {}
    notes = []
    for folder in folders:
        category = _read(folder, name)
        found |= dict.fromkeys(path.absolute() for path in category.train)
        if tests := len(category.test):
            notes.append(
                f"{count(tests, 'test image')} in {folder} {'is' if tests == 1 else 'are'} not trained on; "
                "compare both versions on them with --good and --known-bad"
            )
    known = {path.resolve() for path in old}
    new = [path for path in found if path.resolve() not in known]
    first = {path: index for index, path in enumerate([*old, *new])}
    copies = {
        path
        for group in same_content([*old, *new])
        for path in sorted(group, key=first.__getitem__)[1:]
        if first[path] >= len(old)
    }
    if again := len(found) - len(new) + len(copies):
        are = "is" if again == 1 else "are"
        notes.append(
            f"{again} of {count(len(found), 'image')} {are} left out: the run or another new image has the "
            "same content"
        )
    new = [path for path in new if path not in copies]
    if not new:
        raise DataError(
            f"--add holds no new image: the run has the content of all {len(found)}.",
            "Give a folder with further images of good parts.",
        )
    return new, notes


def _read(folder: Path, name: str) -> Category:
    if not folder.is_dir():
        raise DataError(f"--add {folder}: there is no such folder.", "Check the path.")
    try:
        return load_category(folder, name)
    except DmddError:
        return load_category(folder)


def _held_out(new: Sequence[Path], config: TrainConfig) -> set[Path]:
    """The new images to hold out: as many as of a set of this size, drawn by the seed."""
    assert config.parent is not None
    number = holdout_count(len(new), config.holdout)
    order = np.random.default_rng([config.seed, 77, config.parent.generation]).permutation(len(new))
    return {new[index] for index in order[:number].tolist()}
