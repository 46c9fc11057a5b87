"""Trainings that were stopped: which one ``--resume`` means, and which one continues a run already."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from dmdd_edge.data_address import is_address
from dmdd_edge.errors import DmddError, TrainingError
from dmdd_edge.messages.commands import command
from dmdd_edge.run_store.mirror import local_folder
from dmdd_edge.runs import folders_in, list_runs
from dmdd_edge.train.run_folder import STATE, State, read_config, state_of
from dmdd_edge.workspace import find_run

if TYPE_CHECKING:
    from dmdd_edge.train.config import TrainConfig


def run_to_resume(category: str | None, run: str | None, runs_dir: Path | str) -> Path:
    """The folder of the run that ``--resume`` means: the only unfinished one, unless one is named.

    One whose configuration is damaged counts as unfinished where it has a checkpoint, so that it is seen.

    Args:
        category: ``--category``; only its runs are meant then.
        run: ``--run NAME``; precedes the category.
        runs_dir: ``--runs-dir``; one of a store must be named unless it is the only one there.

    Raises:
        DmddError: several are unfinished, or none; otherwise as of ``find_run``.
    """
    if run is not None or is_address(runs_dir):
        return find_run(category, run, runs_dir)
    known = {name: Path(runs_dir) / name for name in list_runs(runs_dir)}
    if not known or (category is None and len(known) == 1):
        return find_run(category, None, runs_dir)
    meant = [
        (folder.name, state)
        for folder, state, config in _unfinished(known.values())
        if category in (None, folder.name if config is None else config.category)
    ]
    found = [name for name, state in meant if state != "begun"] or [name for name, _ in meant]
    if category in found:
        return known[category]
    if len(found) > 1:
        raise TrainingError(
            f"several runs in {runs_dir}/ are unfinished: {', '.join(found)}.",
            f"Resume one of them: {command('train', resume=True, run=found[0], runs_dir=runs_dir)}",
        )
    if found:
        return known[found[0]]
    if category is not None:
        return find_run(category, None, runs_dir)
    raise TrainingError(
        f"none of the {len(known)} runs in {runs_dir}/ is unfinished; there is nothing to resume.",
        f"Train a new one: {command('train', data='DIR', runs_dir=runs_dir)}",
    )


def continuation_of(old: Path, runs_dir: Path | str) -> tuple[Path, State] | None:
    """The unfinished run that continues another one, and its state; None without one.

    One that has made no step yet counts too, as ``begun``, after all others. In the folder of the run that is
    continued its name suffices, since the whole folder may have been copied or moved.

    Args:
        old: the folder of the run that is continued.
        runs_dir: where its continuations are; of a store, those that this machine works on.
    """
    place = local_folder(runs_dir)
    beside = place.resolve() == old.parent.resolve()
    found = _unfinished(place / name for name in folders_in(place, lambda folder: True))
    for folder, state, config in sorted(found, key=lambda item: item[1] == "begun"):
        if config is None or config.parent is None:
            continue
        parent = config.parent.run
        if parent.resolve() == old.resolve() or (beside and parent.name == old.resolve().name):
            return folder, state
    return None


def _unfinished(folders: Iterable[Path]) -> list[tuple[Path, State, TrainConfig | None]]:
    """The runs among these folders that are not finished: folder, state and configuration.

    The configuration is None where it is damaged, beside a checkpoint. Of other damaged runs none is named.
    """
    found: list[tuple[Path, State, TrainConfig | None]] = []
    for folder in folders:
        try:
            config = read_config(folder)
        except DmddError:
            if (folder / STATE).is_file():
                found.append((folder, "unfinished", None))
            continue
        with suppress(DmddError):
            if (state := state_of(folder)) != "finished":
                found.append((folder, state, config))
    return found
