"""What a category of `dmdd-edge train --all` has already, so that `--resume` does only the rest."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Any, Literal

from dmdd_edge.bundle.versions import version_names
from dmdd_edge.data_address import is_address
from dmdd_edge.run_store.mirror import shown
from dmdd_edge.train.run_folder import METRICS, read_json, state_of, write_json

#: In a run's folder: the bundle that was made of it. A run that is replaced loses it.
BUNDLE = "bundle.json"

#: ``new``: no run, or one without a checkpoint. ``training``: a checkpoint. ``export``: a run without its
#: bundle. ``nothing``: both are there.
Left = Literal["new", "training", "export", "nothing"]


def left_of(folder: Path, models_dir: Path | str) -> Left:
    """What is left to do of a category.

    Args:
        folder: of its run.
        models_dir: folder of the bundles, or its address in a store.

    Raises:
        DmddError: a file of the run, or the store of the bundles, cannot be read.
    """
    state = state_of(folder)
    if state in ("none", "begun"):
        return "new"
    if state != "finished":
        return "training"
    noted = read_json(folder / BUNDLE)
    if not noted:
        return "export"
    version, category = noted.get("version"), str(noted.get("category"))
    there = version is None or version in _versions(models_dir, category)
    return "nothing" if there else "export"


def _versions(models_dir: Path | str, category: str) -> Collection[str]:
    if not is_address(models_dir):
        return version_names(Path(models_dir) / category)
    from dmdd_edge.fleet.address import open_store

    return open_store(str(models_dir)).versions(category).get(category, [])


def note_bundle(folder: Path, category: str, version: str | None) -> None:
    """Note the bundle that was made of a run; the version is None for a run that cannot have one.

    Raises:
        DmddError: it cannot be written.
    """
    write_json(folder / BUNDLE, {"category": category, "version": version})


def outcome_of(folder: Path) -> dict[str, Any]:
    """What is reported of a finished category: its run, its bundle's version, its figures."""
    return {
        "run": shown(folder),
        "version": read_json(folder / BUNDLE).get("version"),
        "metrics": read_json(folder / METRICS) or None,
    }
