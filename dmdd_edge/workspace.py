"""Finds runs and bundles: the ones that ``--category``, ``--model`` and ``--run`` name."""

from __future__ import annotations

import shlex
from pathlib import Path

from dmdd_edge.bundle.bundle import Bundle
from dmdd_edge.bundle.versions import CURRENT_NAME, version_names
from dmdd_edge.data_address import is_address
from dmdd_edge.errors import BundleError, OptionError, TrainingError
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.runs import RUNS_DIR, first_bundle, folders_in, list_runs

__all__ = [
    "MODELS_DIR",
    "RUNS_DIR",
    "find_bundle",
    "find_run",
    "list_bundles",
    "list_runs",
    "load_bundle",
    "run_folder",
]

MODELS_DIR = Path("models")


def list_bundles(models_dir: Path | str = MODELS_DIR) -> list[str]:
    """The categories that have a bundle, sorted."""
    return folders_in(Path(models_dir), _holds_bundle)


def find_bundle(
    category: str | None = None, model: Path | str | None = None, models_dir: Path | str = MODELS_DIR
) -> Path:
    """The folder of the requested bundle, to be opened with ``Bundle.load``.

    Args:
        category: ``--category``; its bundle in ``models_dir``.
        model: ``--model``, a version's or a category's folder; then ``models_dir`` is not used.
        models_dir: ``--models-dir``.

    Returns:
        ``model`` itself, or the category's folder. With neither, the folder of the only category.

    Raises:
        DmddError: no bundle was found, several were and none is named, or both are named.
    """
    if model is not None:
        if category is not None:
            raise OptionError(
                f"--category {category} and --model {model} are both given.",
                "Give one: a category is looked up in --models-dir, a model is a separate folder.",
            )
        if not Path(model).is_dir():
            known = list_bundles(models_dir)
            hint = f"Did you mean --category {model}? " if str(model) in known else ""
            see = f"See what there is: {command('models', models_dir=models_dir)}"
            raise BundleError(f"there is no bundle folder {model}.", f"{hint}{see}")
        return Path(model)
    known = list_bundles(models_dir)
    write = first_bundle(models_dir)
    name = _choose("bundle", category, known, models_dir, "--category", write)
    return Path(models_dir) / name


def load_bundle(
    category: str | None = None,
    model: Path | str | None = None,
    models_dir: Path | str = MODELS_DIR,
    verify: bool = True,
) -> Bundle:
    """``find_bundle`` and ``Bundle.load`` in one; the same arguments and errors."""
    return Bundle.load(find_bundle(category, model, models_dir), verify=verify)


def find_run(category: str | None = None, run: str | None = None, runs_dir: Path | str = RUNS_DIR) -> Path:
    """The folder of the requested training run.

    Args:
        category: ``--category``; a run is named after its category unless ``--run`` named it.
        run: ``--run NAME``; precedes ``category``.
        runs_dir: ``--runs-dir``; a run of a store is brought here.

    Raises:
        DmddError: no run was found, or several were and none is named; or the store cannot be read.
    """
    known = list_runs(runs_dir)
    train = f"Train one: {command('train', data='DIR', runs_dir=runs_dir)}"
    name = _choose("run", run if run is not None else category, known, runs_dir, "--run", train)
    if not is_address(runs_dir):
        return Path(runs_dir) / name
    from dmdd_edge.run_store.runs import bring, open_place

    folder = open_place(runs_dir) / name
    bring(folder)
    return folder


def run_folder(category: str, run: str | None = None, runs_dir: Path | str = RUNS_DIR) -> Path:
    """The folder for a new training run of ``category``; nothing of the run is created or checked.

    Of the address of a store it is in the mirror on this machine, which is made.

    Raises:
        DmddError: the name cannot name a folder.
    """
    name = category if run is None else run
    if not is_plain_name(name):
        raise OptionError(f"{name!r} cannot name a run.", "Use letters, digits, - and _.")
    if not is_address(runs_dir):
        return Path(runs_dir) / name
    from dmdd_edge.run_store.runs import open_place

    return open_place(runs_dir) / name


def _choose(
    what: str, wanted: str | None, known: list[str], folder: Path | str, option: str, how_to_make: str
) -> str:
    error = BundleError if what == "bundle" else TrainingError
    if wanted is not None:
        if wanted in known:
            return wanted
        found = f"found: {', '.join(known)}" if known else "the folder holds none"
        fix = did_you_mean(wanted, known) or how_to_make
        raise error(f"there is no {what} {wanted!r} in {folder}/ ({found}).", fix)
    if not known:
        raise error(f"there is no {what} in {folder}/.", how_to_make)
    if len(known) > 1:
        raise error(
            f"there are several {what}s in {folder}/: {', '.join(known)}.",
            f"Name one, for example {option} {shlex.quote(known[0])}",
        )
    return known[0]


def _holds_bundle(folder: Path) -> bool:
    """Whether a category's folder holds a version or names one; an inaccessible one is listed too."""
    try:
        return bool(version_names(folder)) or (folder / CURRENT_NAME).is_file()
    except OSError:
        return True
