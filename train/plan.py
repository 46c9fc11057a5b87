"""The plan of a training, checked as a whole before torch is loaded and before anything is written."""

from __future__ import annotations

import shlex
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dmdd_edge.data_address import DataPlace, settled
from dmdd_edge.errors import OptionError
from dmdd_edge.options.model import option_fields
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.plan_continued import plan_continued
from dmdd_edge.train.stored_options import (
    MODEL,
    OF_IMAGES,
    RUN,
    SYNTHESIS,
    changed,
    changes,
    preprocess_of,
)

if TYPE_CHECKING:
    from dmdd_edge.data.datasets import Category
    from dmdd_edge.train.config import TrainConfig

#: What may change when a run is resumed: where files are and how this machine works, not what is learned.
_MAY_CHANGE = ("data", "textures", "known_bad", "weights", "device", "workers", "cache_mb")


@dataclass(frozen=True)
class Plan:
    """A training that can start.

    Attributes:
        folder: of the run.
        config: of the run.
        notes: what a user should know before it starts.
        began: value of ``time.monotonic()`` from which a time limit counts.
        sent: whether nothing is left to do: the run was finished before, and was sent to its store just now.
    """

    folder: Path
    config: TrainConfig
    notes: tuple[str, ...]
    began: float
    sent: bool = False


def plan_training(options: TrainOptions) -> Plan:
    """Check all that can be checked without torch: data, names, device, region, numbers and the run's folder.

    Raises:
        OptionError: an option is unknown, out of its range, or contradicts another one.
        DataError: the data set is missing or holds no good images.
        TrainingError: there is a run already, or no run to resume.
    """
    from dmdd_edge.messages.text import is_plain_name
    from dmdd_edge.run_store.runs import outline_of, send_left, settle
    from dmdd_edge.train.run_folder import check_run, read_config, state_of
    from dmdd_edge.train.unfinished import run_to_resume
    from dmdd_edge.workspace import run_folder

    began = time.monotonic()
    resume, overwrite, category = options.resume, options.overwrite, options.category
    if resume and overwrite:
        raise OptionError(
            "--resume and --overwrite are both given.",
            "Give --resume to continue the run, or --overwrite to train it again from the start.",
        )
    if category is not None and not is_plain_name(category):
        # Joined to the data set's folder, a path would lead out of it.
        raise OptionError(f"--category {category!r} cannot name a category.", "Give the name of its folder.")
    _check_files(options)
    notes: tuple[str, ...] = ()
    config: TrainConfig | None = None
    if resume:
        folder = run_to_resume(category, options.run, options.runs_dir)
        if settle(folder) and state_of(folder) == "finished":
            return Plan(folder, read_config(folder), (), began, sent=True)
        stored = check_run(folder, None, resume=True, overwrite=False)
        if category not in (None, stored.category):
            raise OptionError(
                f"--category {category}: the run {folder} is of {stored.category}.",
                f"Leave --category out, and name the run: --run {shlex.quote(folder.name)}",
            )
        config, notes = _resumed(stored, options)
    elif options.continue_run is not None:
        config, folder, notes = plan_continued(options)
    elif options.data is not None:
        config, folder, notes = _new(options, options.data)
    else:
        folder = run_folder(category or "run", options.run, options.runs_dir)
    if not resume and send_left(folder) and state_of(folder) == "finished":
        return Plan(folder, read_config(folder), (), began, sent=True)
    with outline_of(folder) as drawn:
        # What counts of a store's run is what the store has; when it is resumed, both are the same.
        found = None if resume or drawn == folder else drawn
        config = check_run(folder, config, resume=resume, overwrite=overwrite, found=found)
    return Plan(folder, config, notes, began)


def check_values(options: TrainOptions) -> None:
    """Check what needs no look at the images: files that are named, numbers and their combinations.

    Raises:
        OptionError: an option cannot be used.
    """
    _check_files(options)
    _config(options, options.data or "")


def _check_files(options: TrainOptions) -> None:
    weights, textures, known_bad = options.weights, options.textures, options.known_bad
    if weights is not None and not weights.is_file():
        raise OptionError(f"--weights {weights}: no such file.", "Check the path.")
    if textures is not None and not textures.is_dir():
        raise OptionError(f"--textures {textures}: no such folder.", "Check the path.")
    if known_bad is not None and not known_bad.is_dir():
        raise OptionError(f"--known-bad {known_bad}: no such folder.", "Check the path.")


def _config(options: TrainOptions, data: DataPlace) -> TrainConfig:
    from dmdd_edge.train.config import make_config

    values = options.values()
    return make_config(
        options.recipe,
        data=settled(data),
        category=options.category or "",
        model={name: values[name] for name in MODEL},
        synthesis={name: values[name] for name in SYNTHESIS},
        **{name: values[name] for name in RUN},
    )


def _new(options: TrainOptions, data: DataPlace) -> tuple[TrainConfig, Path, tuple[str, ...]]:
    from dmdd_edge.data.datasets import load_category
    from dmdd_edge.workspace import run_folder

    values = options.values()
    # What needs no look at the images comes first: a data set may be on a slow share.
    config = _config(options, data)
    if config.known_bad is not None:
        config = config.model_copy(update={"known_bad": config.known_bad.resolve()})
    if options.run is not None:
        run_folder("", options.run, options.runs_dir)
    category = load_category(data, options.category)
    folder = run_folder(category.name, options.run, options.runs_dir)
    config = config.model_copy(update={"category": category.name})
    notes: list[str] = []
    if options.bits != 16 or any(values[name] for name in OF_IMAGES if name != "bits"):
        preprocess, notes = preprocess_of(values, category, config.model.image_size)
        config = config.model_copy(update={"preprocess": preprocess})
    if options.score == "place":
        _check_place(config, category)
    return config, folder, tuple(notes)


def _check_place(config: TrainConfig, category: Category) -> None:
    """Refuse parts that cannot be compared by place before a training, which would take the map instead."""
    from dmdd_edge.train.data import holdout_count
    from dmdd_edge.train.place_choice import why_no_levels

    if config.preprocess.tiling is None:
        raise OptionError(
            "--score place compares tiled images, and --tile auto cuts none for images of this size.",
            "Leave --score out, or give the side of a tile: --tile PX.",
        )
    held = holdout_count(len(category.train), config.holdout)
    why = why_no_levels(held, category.train)
    if why:
        raise OptionError(
            f"--score place is not possible: {why}.",
            "Leave --score out: auto takes the map alone then. More good images or --holdout hold out more.",
        )


def _resumed(stored: TrainConfig, options: TrainOptions) -> tuple[TrainConfig, tuple[str, ...]]:
    """The stored configuration with what may change; any other option that differs is refused."""
    refused = (
        "An unfinished run cannot change",
        "Leave these out to resume it, or train again with --overwrite or --run NAME.",
    )
    different, before = changes(stored, options, _MAY_CHANGE, refused)
    spelled = {field.name: field.spelling for field in option_fields(TrainOptions)}
    notes = tuple(
        f"resuming with {spelled[name]} {value} ({_was(before[name])})" for name, value in different.items()
    )
    return changed(stored, different), notes


def _was(value: Any) -> str:
    return "it was not set" if value is None else f"it was {value}"
