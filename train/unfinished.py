"""Trainings that were stopped: which one ``--resume`` means, and which one continues a run already."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.data_address import is_address
from dmdd_edge.errors import DmddError, TrainingError
from dmdd_edge.messages.commands import command
from dmdd_edge.run_store.mirror import local_folder
from dmdd_edge.runs import folders_in, list_runs
from dmdd_edge.train.run_folder import State, read_config, state_of
from dmdd_edge.workspace import find_run

if TYPE_CHECKING:
    from dmdd_edge.train.config import TrainConfig

_STOPPED: tuple[State, ...] = ("unfinished", "trained")


def run_to_resume(category: str | None, run: str | None, runs_dir: Path | str) -> Path:
    """The folder of the run that ``--resume`` means: the only unfinished one, unless one is named.

    Args:
        category: ``--category``; only its runs are meant then.
        run: ``--run NAME``; precedes the category.
        runs_dir: ``--runs-dir``; one of a store must be named unless it is the only one there.

    Raises:
        DmddError: several are unfinished; otherwise as of ``find_run``.
    """
    if run is not None or is_address(runs_dir):
        return find_run(category, run, runs_dir)
    known = {name: Path(runs_dir) / name for name in list_runs(runs_dir)}
    if category in known and state_of(known[category]) in _STOPPED:
        return known[category]
    found = [
        name
        for name, folder in known.items()
        if (config := _stopped(folder, _STOPPED)) is not None and category in (None, config.category)
    ]
    if len(found) > 1:
        raise TrainingError(
            f"several runs in {runs_dir}/ are unfinished: {', '.join(found)}.",
            f"Resume one of them: {command('train', resume=True, run=found[0], runs_dir=runs_dir)}",
        )
    return known[found[0]] if found else find_run(category, None, runs_dir)


def continuation_of(old: Path, runs_dir: Path | str) -> tuple[Path, State] | None:
    """The unfinished run that continues another one, and its state; None without one.

    One that has made no step yet counts too, as ``begun``.

    Args:
        old: the folder of the run that is continued.
        runs_dir: where its continuations are.
    """
    place = local_folder(runs_dir)
    for name in folders_in(place, lambda folder: True):
        config = _stopped(place / name, (*_STOPPED, "begun"))
        if config is not None and config.parent is not None and config.parent.run == old.absolute():
            return place / name, state_of(place / name)
    return None


def _stopped(folder: Path, states: tuple[State, ...]) -> TrainConfig | None:
    """The configuration of a run in one of these states; of others, and of damaged ones, None."""
    try:
        return read_config(folder) if state_of(folder) in states else None
    except DmddError:
        return None
