"""The training runs on disk, and the command that leads to a first bundle; quick to load."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from dmdd_edge.data_address import is_address
from dmdd_edge.failures import current_folder_gone, storage_errors
from dmdd_edge.messages.commands import command
from dmdd_edge.messages.text import is_plain_name, visible

RUNS_DIR = Path("runs")
_log = logging.getLogger(__name__)
#: Folders of which it has been said that some names cannot be read.
_unreadable: set[Path] = set()
#: In a run's folder: the finished model, and the checkpoint.
MODEL_NAME, STATE_NAME = "model.safetensors", "state.safetensors"


def list_runs(runs_dir: Path | str = RUNS_DIR) -> list[str]:
    """The training runs, sorted by name; hidden and empty folders are left out.

    Args:
        runs_dir: a folder, or the address of a store.

    Raises:
        DmddError: it cannot be read.
    """
    if is_address(runs_dir):
        from dmdd_edge.run_store.runs import stored_runs

        return stored_runs(str(runs_dir))
    return folders_in(Path(runs_dir), _is_filled)


def first_bundle_command(models_dir: Path | str, **options: object) -> str:
    """The command towards a bundle: ``export`` of a run, or without any run ``train``.

    Args:
        models_dir: where the bundle is missing.
        options: of ``export``.
    """
    if list_runs():
        return command("export", models_dir=models_dir, **options)
    return command("train", data="DIR")


def first_bundle(models_dir: Path | str) -> str:
    """What to do without a bundle, for a person."""
    if list_runs():
        return f"Export a run: {first_bundle_command(models_dir)}"
    return (
        "Train on images of good parts, your own or those that the command sample draws: "
        f"{first_bundle_command(models_dir)}"
    )


def folders_in(folder: Path, counts: Callable[[Path], bool]) -> list[str]:
    """Names of the folders in a folder that count, sorted; empty without that folder."""
    with storage_errors(folder, "read"):
        if not folder.is_dir():
            if (gone := current_folder_gone(folder)) is not None:
                raise gone
            return []
        entries = [entry for entry in folder.iterdir() if entry.is_dir()]
        _name_unreadable(folder, [entry.name for entry in entries])
        return sorted(entry.name for entry in entries if is_plain_name(entry.name) and counts(entry))


def _name_unreadable(folder: Path, names: list[str]) -> None:
    """Say once which names are left out because the locale of this process cannot read them."""
    unread = [name for name in names if any("\udc80" <= char <= "\udcff" for char in name)]
    if unread and folder not in _unreadable:
        _unreadable.add(folder)
        _log.warning(
            "%s/: %d name%s left out, since the locale of this process cannot read %s: %s. Set one with "
            "UTF-8: export LC_ALL=C.UTF-8, and leave PYTHONUTF8 unset",
            *(folder, len(unread), "s are" if len(unread) > 1 else " is"),
            *("them" if len(unread) > 1 else "it", ", ".join(sorted(map(visible, unread)))),
        )


def _is_filled(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return True  # inaccessible: an error explains why when it is named
