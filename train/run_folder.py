"""A run's folder without its tensors: what is there, what may be done with it, and who works in it.

Loads no torch, so that a mistake is found before that is imported.
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
from dmdd_edge.storage import make_folder, remove_folder, require_writable, write_atomically
from dmdd_edge.strict_json import NotStrict, parse_object, validate
from dmdd_edge.train.config import TrainConfig

CONFIG, FACTS, TEACHER, MODEL, STATE, METRICS = (
    "config.json",
    "run.json",
    "teacher.safetensors",
    "model.safetensors",
    "state.safetensors",
    "metrics.json",
)
#: In ``run.json``: whether everything that training writes is there, the figures and pictures too.
COMPLETE = "complete"

#: The largest files that are read, in bytes; ``run.json`` names every image.
_LARGEST_CONFIG, _LARGEST_FACTS, _MOST_FACTS = 1 << 20, 256 << 20, 5_000_000

_AGAIN = "Train again with --overwrite."

State = Literal["none", "begun", "unfinished", "trained", "finished"]


def state_of(folder: Path) -> State:
    """How far a run is.

    Returns:
        ``none``: no run. ``begun``: it failed before its first step, and holds nothing that would be missed.
        ``unfinished``: between its steps. ``trained``: the model is there, the figures are not.
        ``finished``: everything is there.
    """
    if not (folder / CONFIG).is_file():
        return "none"
    if (folder / MODEL).is_file():
        # Runs of earlier versions do not say whether they are complete; their figures do.
        complete = read_json(folder / FACTS).get(COMPLETE, (folder / METRICS).is_file())
        return "finished" if complete else "trained"
    return "unfinished" if (folder / STATE).is_file() else "begun"


def check_run(folder: Path, config: TrainConfig | None, *, resume: bool, overwrite: bool) -> TrainConfig:
    """Decide with which configuration training goes on; nothing is changed on the disk.

    Args:
        folder: the run's folder.
        config: the configuration asked for; None resumes with the stored one.
        resume: go on with an unfinished run; its stored configuration is used unless ``config`` is given.
        overwrite: replace what is there.

    Raises:
        DmddError: the folder holds a run and neither was asked for, there is nothing to resume, or the folder
            cannot be written.
    """
    state = state_of(folder)
    if resume:
        stored = read_config(folder)
        if state == "finished":
            raise TrainingError(
                f"the run in {folder} is finished; there is nothing to resume.",
                "Train it again with --overwrite, or export it: "
                + command("export", **run_options(folder, stored.category)),
            )
        require_writable(folder, "--runs-dir")
        return config or stored
    if config is None:
        raise OptionError(
            "no data set is named.", "Give --data DIR, or --resume to go on with an unfinished run."
        )
    if state in ("unfinished", "trained", "finished") and not overwrite:
        shown = "finished" if state == "finished" else "unfinished"
        raise TrainingError(
            f"there is a run in {folder} already ({shown}).",
            "--resume goes on with an unfinished one, --overwrite replaces it, --run NAME keeps both.",
        )
    require_writable(folder, "--runs-dir")
    if state == "none" and folder.is_dir() and any(folder.iterdir()):
        raise TrainingError(
            f"{folder} is not empty and holds no run.", "Choose another name with --run NAME."
        )
    return config


def open_run(folder: Path, config: TrainConfig | None, *, resume: bool, overwrite: bool) -> TrainConfig:
    """``check_run``, and then make room for a new run; the arguments and errors are the same."""
    config = check_run(folder, config, resume=resume, overwrite=overwrite)
    if not resume and state_of(folder) != "none":
        remove_folder(folder)
    return config


@contextmanager
def run_lock(folder: Path, *, shared: bool = False) -> Iterator[None]:
    """Hold a run inside the block: for one that trains, or ``shared`` for those that only read it.

    Raises:
        DmddError: another process trains into it, or reads it while this one wants to train.
    """

    def busy(holder: str) -> DmddError:
        return TrainingError(
            f"the run in {folder} is in use by {holder}.",
            "Wait until it ends, or stop it." + ("" if shared else " --run NAME trains beside it."),
        )

    if not shared:
        make_folder(folder.parent, "Name another folder: --runs-dir DIR.")
    with locked(folder, busy, shared=shared):
        yield


def read_config(folder: Path) -> TrainConfig:
    """The configuration of a run.

    Raises:
        DmddError: there is none, it cannot be read, or it is of another version.
    """
    path = folder / CONFIG
    if not path.is_file():
        train = command("train", data="DIR", runs_dir=folder.parent)
        raise TrainingError(f"no training run in {folder}.", f"Train one: {train}")
    try:
        config = validate(TrainConfig, parse_object(read_bounded(path, _LARGEST_CONFIG)))
    except OSError as error:
        raise unreadable(error, path) from error
    except NotStrict as error:
        raise TrainingError(f"{path} does not fit this version: {error}.", _AGAIN) from None
    if not is_plain_name(config.category):
        raise TrainingError(
            f"{path} does not fit this version: {config.category!r} names no category.", _AGAIN
        )
    return config


def read_json(path: Path) -> dict[str, Any]:
    """A JSON file of a run, {} where there is none.

    Raises:
        DmddError: it cannot be read, or is not a JSON object.
    """
    try:
        data = read_bounded(path, _LARGEST_FACTS)
        # A figure may be NaN, and a file's name may hold anything.
        return parse_object(data, finite=False, plain=False, most_values=_MOST_FACTS)
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise unreadable(error, path, _AGAIN) from error
    except NotStrict as error:
        raise TrainingError(f"{path} is damaged: {error}.", _AGAIN) from None


def write_json(path: Path, content: dict[str, Any]) -> None:
    """Write a JSON file whole or not at all.

    Raises:
        DmddError: it cannot be written.
    """
    write_atomically(path, (json.dumps(content, indent=2) + "\n").encode())
