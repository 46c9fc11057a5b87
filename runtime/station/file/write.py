"""Writes a new station file, and the schema beside it."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.commands import command
from dmdd_edge.runs import first_bundle
from dmdd_edge.runtime.station.file.found import Found, find
from dmdd_edge.runtime.station.file.schema import SCHEMA_NAME, station_schema
from dmdd_edge.runtime.station.file.template import NO_CAMERA, NO_CATEGORY, station_text
from dmdd_edge.storage import make_folder, write_atomically


@dataclass(frozen=True)
class Written:
    """What was written.

    Attributes:
        found: on this machine.
        lines: what a person should know, the result first.
    """

    found: Found
    lines: tuple[str, ...]


def write_station(path: Path, models_dir: Path, overwrite: bool = False) -> Written:
    """Write a commented station file from the cameras and bundles of this machine.

    Args:
        path: of the file; its folder is made.
        models_dir: the folder that holds the bundles.
        overwrite: replace a file that is there.

    Raises:
        OptionError: there is a file, or the name is not that of a TOML file.
        StorageError: it cannot be written.
    """
    if path.suffix.lower() != ".toml":
        raise OptionError(f"{path} is not the name of a station file.", f"Name it {path.name}.toml.")
    if path.is_dir():
        raise OptionError(f"{path} is a folder.", "Name a file in it, such as line1.toml.")
    if os.path.lexists(path) and not overwrite:
        again = command("station", "init", path, overwrite=True)
        raise OptionError(f"{path} is there already.", f"Name another file, or replace it: {again}")
    found = find(models_dir)
    make_folder(path.absolute().parent)
    write_atomically(path, station_text(path, found, models_dir))
    lines = [f"wrote {path}: {_found(found)}"]
    schema = path.with_name(SCHEMA_NAME)
    if overwrite or not schema.exists():
        write_atomically(schema, json.dumps(station_schema(), indent=2) + "\n")
        lines.append(f"wrote {schema}, for editors")
    if not found.cameras:
        lines.append(f"fill in: no camera was found; {path} names {NO_CAMERA.source}")
    if not found.categories:
        lines.append(f"fill in: no bundle was found in {models_dir}/; {path} names {NO_CATEGORY}")
        lines.append(first_bundle(models_dir))
    return Written(found, (*lines, *found.remarks))


def _found(found: Found) -> str:
    cameras, bundles = len(found.cameras), len(found.categories)
    return f"{cameras} camera{'s' * (cameras != 1)}, {bundles} bundle{'s' * (bundles != 1)}"
