"""The plan of a training that continues a finished run: its configuration, its folder, its images."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.errors import OptionError, TrainingError
from dmdd_edge.messages.commands import command, run_options
from dmdd_edge.run_store.mirror import address_of, local_folder, shown
from dmdd_edge.runs import list_runs
from dmdd_edge.train.options import TrainOptions
from dmdd_edge.train.stored_options import changed, changes

if TYPE_CHECKING:
    from dmdd_edge.train.config import TrainConfig

#: What a continued run may do otherwise; all else shapes the network and its images, which it keeps.
_MAY_CHANGE = (
    "data", "textures", "known_bad", "weights", "device", "workers", "cache_mb", "amp",
    "steps", "epochs", "max_minutes", "lr", "batch_size", "seed", "holdout", "score",
)  # fmt: skip
_LENGTHS = ("steps", "epochs", "max_minutes")
#: The learning rate starts at this share of the run's, which a training from the start has after two thirds
#: of its steps: more would undo what the student knows.
_LEARNING_RATE = 0.25


def plan_continued(options: TrainOptions) -> tuple[TrainConfig, Path, tuple[str, ...]]:
    """Check all that continues a run; nothing is written.

    Returns:
        the configuration of the new run, its folder, and what a user should know.

    Raises:
        OptionError: an option would not fit the run.
        TrainingError: there is no finished run of this name.
        DataError: its images are missing, or there are no new ones.
    """
    from dmdd_edge.train.config import Parent
    from dmdd_edge.train.continuation import plan_continuation
    from dmdd_edge.train.run_folder import check_finished
    from dmdd_edge.workspace import run_folder

    old = _run(options)
    stored = check_finished(old)
    if options.category not in (None, stored.category):
        raise OptionError(
            f"--category {options.category}: the run {old} is of {stored.category}.", "Leave --category out."
        )
    if options.holdout == 0:
        raise OptionError(
            "--holdout 0 would set the threshold without the new images.", "Leave --holdout out."
        )
    refused = (
        f"The run {old} cannot be continued with another value of",
        "Leave these out, or train from the start on all images: " + command("train", data="DIR"),
    )
    different, _ = changes(stored, options, _MAY_CHANGE, refused)
    config = changed(stored, different)
    before = stored.parent
    update: dict[str, object] = {
        "data": config.data,
        "parent": Parent(
            run=old.absolute(),
            add=tuple(folder.resolve() for folder in options.add),
            generation=1 if before is None else before.generation + 1,
        ),
        "holdout": config.holdout or None,
        "known_bad": None if config.known_bad is None else config.known_bad.resolve(),
        "lr": options.lr or stored.lr * (_LEARNING_RATE if before is None else 1.0),
        **{name: getattr(options, name) for name in _LENGTHS},
    }
    config = config.model_copy(update=update)
    runs_dir: Path | str = old.parent
    if "runs_dir" in options.given():
        runs_dir = options.runs_dir
    elif (address := address_of(old.parent)) is not None:
        runs_dir = address
    name = options.run or _left_over(old, config.category, runs_dir)
    images = plan_continuation(old, config)
    notes = list(images.notes)
    if all(getattr(options, name) is None for name in _LENGTHS):
        config = config.model_copy(update={"steps": images.steps})
        notes.append(
            f"length: {images.steps} steps, {100 * images.steps / images.full_steps:.0f} % of the "
            f"{images.full_steps} that a training from the start would take; --steps sets another"
        )
    folder = run_folder("", name or _next_name(old.name, before is not None, runs_dir), runs_dir)
    if folder.resolve() == old.resolve():
        raise OptionError(
            f"--run {options.run} is the run that is continued; it stays as it is.",
            "Give the new run another name, or leave --run out.",
        )
    return config, folder, tuple(notes)


def _run(options: TrainOptions) -> Path:
    """The folder of the run to continue, given by its name or as a folder."""
    from dmdd_edge.train.run_folder import CONFIG
    from dmdd_edge.workspace import find_run

    text = options.continue_run or ""
    if (Path(text) / CONFIG).is_file():
        return Path(text)
    return find_run(None, text, options.runs_dir)


def _left_over(old: Path, category: str, runs_dir: Path | str) -> str | None:
    """The name of a run that was to continue this one and has made no step; None without one.

    Raises:
        TrainingError: one has made steps, and is unfinished.
    """
    from dmdd_edge.train.unfinished import continuation_of

    found = continuation_of(old, runs_dir)
    if found is None:
        return None
    folder, state = found
    if state == "begun":
        return folder.name
    raise TrainingError(
        f"{shown(folder)} continues {shown(old)}, and is unfinished.",
        f"Resume it: {command('train', **run_options(folder, category), resume=True)}\n"
        "--run NAME gives the new run another name; with "
        f"--run {shlex.quote(folder.name)} --overwrite it replaces that one.",
    )


def _next_name(name: str, numbered: bool, runs_dir: Path | str) -> str:
    """The first free name after a run's: ``bottle-2`` after ``bottle``, ``bottle-3`` after ``bottle-2``."""
    base = re.sub(r"-\d+$", "", name) if numbered else name
    number = 2
    known = list_runs(runs_dir)
    while f"{base}-{number}" in known or (local_folder(runs_dir) / f"{base}-{number}").exists():
        number += 1
    return f"{base}-{number}"
