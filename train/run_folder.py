"""A run's folder without its tensors: its state, what is allowed with it, and its lock.

Loads no torch, so that a mistake is reported before torch is imported.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Literal

from dmdd_edge.errors import DmddError, OptionError, TrainingError
from dmdd_edge.failures import unreadable
from dmdd_edge.locking import locked
from dmdd_edge.messages.commands import command, run_options
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.outside_files import read_bounded
from dmdd_edge.run_store.mirror import shown
from dmdd_edge.runs import MODEL_NAME, STATE_NAME
from dmdd_edge.storage import make_folder, remove_folder, require_writable, write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate
from dmdd_edge.train.config import TrainConfig

CONFIG, FACTS, TEACHER, MODEL, STATE, METRICS, START, CONTINUED, IMAGES = (
    "config.json",
    "run.json",
    "teacher.safetensors",
    MODEL_NAME,
    STATE_NAME,
    "metrics.json",
    "start.safetensors",
    "continued.json",
    "images.json",
)
#: What is recorded of a training, from before its images are read.
LOG = "train.log"
#: In ``run.json``: whether all outputs of training are complete, figures and images included.
COMPLETE = "complete"

#: The largest files that are read, in bytes; ``run.json`` names every image.
_LARGEST_CONFIG, _LARGEST_FACTS, _MOST_FACTS = 1 << 20, 256 << 20, 5_000_000

#: What to do about a run whose files are damaged.
AGAIN = "Train again with --overwrite."

State = Literal["none", "begun", "unfinished", "trained", "finished"]


def state_of(folder: Path) -> State:
    """The state of a run.

    Returns:
        ``none``: no run. ``begun``: it failed before its first step and holds nothing of value.
        ``unfinished``: stopped between steps. ``trained``: has its model, but no figures.
        ``finished``: complete.
    """
    if not (folder / CONFIG).is_file():
        return "none"
    if (folder / MODEL).is_file():
        # Runs of earlier versions do not say whether they are complete; their figures do.
        complete = read_json(folder / FACTS).get(COMPLETE, (folder / METRICS).is_file())
        return "finished" if complete else "trained"
    return "unfinished" if (folder / STATE).is_file() else "begun"


def checkpoint_step(folder: Path) -> int | None:
    """The step of a run's checkpoint; None where it cannot be read."""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(str(folder / STATE), framework="np") as file:
            step = facts_beside(file.metadata()).get("step")
    except (OSError, SafetensorError, NotStrict):
        return None
    return step if isinstance(step, int) else None


def facts_beside(metadata: dict[str, str] | None) -> dict[str, Any]:
    """The facts in the header of a file of tensors.

    Raises:
        NotStrict: they are not a JSON object.
    """
    return parse_object((metadata or {}).get("facts", "{}").encode(), finite=False, plain=False)


def check_run(
    folder: Path, config: TrainConfig | None, *, resume: bool, overwrite: bool, found: Path | None = None
) -> TrainConfig:
    """Choose the configuration to train with; nothing is changed on the disk.

    Args:
        folder: the run's folder.
        config: the requested configuration; None resumes with the stored one.
        resume: continue an unfinished run; its stored configuration is used unless ``config`` is given.
        overwrite: replace an existing run.
        found: where the run's state is looked up, if that is not the folder: an outline of a store's run.

    Raises:
        DmddError: the folder holds a run and neither was requested, there is nothing to resume, or the folder
            cannot be written.
    """
    state = state_of(found or folder)
    if resume:
        stored = read_config(folder)
        if state == "finished":
            raise TrainingError(
                f"The run in {shown(folder)} is finished; there is nothing to resume.",
                f"Export it: {command('export', **run_options(folder, stored.category))}\n"
                "--run NAME resumes another run; --overwrite replaces this one by a new training.",
            )
        require_writable(folder, "--runs-dir")
        return config or stored
    if config is None:
        raise OptionError(
            "The data set is missing.", "Give --data DIR, or --resume to resume an unfinished run."
        )
    if state in ("unfinished", "trained", "finished") and not overwrite:
        how = "finished" if state == "finished" else "unfinished"
        raise TrainingError(
            f"{shown(folder)} already holds a run ({how}).",
            "Resume an unfinished run with --resume, replace it with --overwrite, or choose --run NAME.",
        )
    require_writable(folder, "--runs-dir")
    # A training that failed on its images left its log alone.
    if (
        found is None
        and state == "none"
        and folder.is_dir()
        and any(path.name != LOG for path in folder.iterdir())
    ):
        raise TrainingError(
            f"{folder} is not empty and holds no run.", "Choose another name with --run NAME."
        )
    return config


def open_run(folder: Path, config: TrainConfig | None, *, resume: bool, overwrite: bool) -> TrainConfig:
    """Run ``check_run`` and then make room for a new run; the arguments and errors are the same."""
    config = check_run(folder, config, resume=resume, overwrite=overwrite)
    if not resume and state_of(folder) != "none":
        remove_folder(folder)
    return config


def discard_run(folder: Path) -> None:
    """Remove a run that nobody uses; a folder without a run stays.

    Raises:
        DmddError: a process uses it, or it cannot be removed.
    """
    if state_of(folder) != "none":
        with run_lock(folder):
            remove_folder(folder)


@contextmanager
def run_lock(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Lock a run inside the block: exclusively to train, ``shared`` to read.

    Raises:
        DmddError: another process trains it, or reads it while this one wants to train.
    """

    def busy(holder: str) -> DmddError:
        return TrainingError(
            f"The run in {folder} is in use by {holder}.",
            "Wait until it ends, or stop it." + ("" if shared else " --run NAME trains beside it."),
        )

    if not shared:
        make_folder(folder.parent, "Name another folder: --runs-dir DIR.")
    with locked(folder, busy, shared=shared):
        yield


def read_config(folder: Path) -> TrainConfig:
    """The configuration of a run.

    Raises:
        DmddError: it is missing, cannot be read, or has another version.
    """
    path = folder / CONFIG
    if not path.is_file():
        train = command("train", data="DIR", runs_dir=folder.parent)
        raise TrainingError(f"There is no training run in {shown(folder)}.", f"Train one: {train}")
    try:
        config = validate(TrainConfig, parse_object(read_bounded(path, _LARGEST_CONFIG)))
    except OSError as error:
        raise unreadable(error, path) from error
    except NotStrict as error:
        raise TrainingError(f"{path} does not fit this version: {error}.", AGAIN) from None
    if not is_plain_name(config.category):
        raise TrainingError(
            f"{path} does not fit this version: {config.category!r} names no category.", AGAIN
        )
    return config


def check_finished(folder: Path) -> TrainConfig:
    """The configuration of a finished run; its model is not read.

    Raises:
        DmddError: there is no run, or an unfinished one, or one that is being trained.
    """
    config = read_config(folder)
    if not (folder / MODEL).is_file():
        with run_lock(folder, shared=True):  # a training that still runs is named, not to be resumed
            raise TrainingError(
                f"The training in {shown(folder)} is not finished.",
                "Resume it: " + command("train", **run_options(folder, config.category), resume=True),
            )
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a run; {} without the file.

    Raises:
        DmddError: it cannot be read, or is not a JSON object.
    """
    try:
        data = read_bounded(path, _LARGEST_FACTS)
        # A figure may be NaN, and a file name may contain any character.
        return parse_object(data, finite=False, plain=False, most_values=_MOST_FACTS)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise unreadable(error, path, AGAIN) from error
    except NotStrict as error:
        raise TrainingError(f"{path} is damaged: {error}.", AGAIN) from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all.

    Raises:
        DmddError: it cannot be written.
    """
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
