"""Writes a commented station file from the cameras and bundles of a machine."""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from dmdd_edge.messages.text import visible
from dmdd_edge.options.keys import key_of
from dmdd_edge.options.toml_text import toml
from dmdd_edge.runtime.station.file.found import Found, FoundCamera
from dmdd_edge.runtime.station.file.schema import SCHEMA_NAME, title_of
from dmdd_edge.runtime.station.file.tables import TABLES, help_of

#: What is written where nothing was found; ``station check`` then says what it lacks.
NO_CAMERA = FoundCamera("/dev/video0", "FILL IN: no camera was found on this machine", "newest")
NO_CATEGORY = "CATEGORY"
#: Not the port 502 of the standard, which needs a privilege.
_PORT = 5020
_COLUMNS = 100


def station_text(path: Path, found: Found, models_dir: Path) -> str:
    """The text of a new station file.

    Args:
        path: where it will be.
        found: the cameras and bundles.
        models_dir: the folder that holds the bundles.
    """
    return "\n".join(_lines(path, found, models_dir)) + "\n"


def _lines(path: Path, found: Found, models_dir: Path) -> Iterator[str]:
    cameras = {f"camera{number}": camera for number, camera in enumerate(found.cameras or (NO_CAMERA,), 1)}
    categories = found.categories or (NO_CATEGORY,)
    yield f"#:schema ./{SCHEMA_NAME}"
    yield "# A station of dmdd-edge. Paths start from the folder of this file."
    yield "# A line that begins with # has no effect; remove the # to use it."
    yield ""
    yield from _key("", "name", path.stem)
    yield from _key("", "models_dir", os.path.relpath(models_dir, path.absolute().parent))
    if len(categories) > 1:
        yield from _key("", "recipe", 1)
    yield from _key("", "deadline_ms")
    yield from _key("", "challenge")
    for name, camera in cameras.items():
        yield from ("", f"[cameras.{name}]")
        if camera.title:
            yield f"# {visible(camera.title)}"
        yield from _key("cameras.NAME", "source", camera.source)
        yield from _key("cameras.NAME", "trigger", camera.trigger)
        if camera is next(iter(cameras.values())):
            for option in ("exposure", "camera_size"):
                yield from _key("cameras.NAME", option)
    for number, category in enumerate(categories, 1):
        names = [f"{category}_{name}" if len(cameras) > 1 else category for name in cameras]
        for name, camera_name in zip(names, cameras, strict=True):
            yield from ("", f"[inspections.{_bare(name)}]")
            if category == NO_CATEGORY:
                yield "# FILL IN: no bundle was found; its name is the folder in models_dir."
            yield f"camera = {toml(camera_name)}"
            yield from _key("inspections.NAME", "category", category)
            if number == 1 and name == names[0]:
                for option in ("region", "threshold"):
                    yield from _key("inspections.NAME", option)
        yield from ("", f"# {title_of('recipes')}.", "[[recipes]]")
        yield from _key("recipes", "number", number)
        yield f"name = {toml(category)}"
        yield f"inspections = {toml(names)}"
    yield from ("", f"# {title_of('plc.modbus')}.", "[plc.modbus]")
    yield from _key("plc.modbus", "port", _PORT)
    yield from ("", f"# {title_of('gpio')}.", "# [gpio]")
    yield from _key("gpio", "chip")
    yield from (f"# {name}.line = {number}" for name, number in (("trigger", 22), ("reject", 17)))
    yield from ("", "[results]")
    yield from _key("results", "jsonl", f"{path.stem}.jsonl")
    for option in ("rotate_size", "keep", "archive", "serve", "mqtt"):
        yield from _key("results", option)


def _bare(name: str) -> str:
    """A key, in quotes where TOML needs them."""
    plain = name.isascii() and name.replace("-", "").replace("_", "").isalnum()
    return name if plain else toml(name)


_EXAMPLES = {
    "archive": "kept",
    "challenge": True,
    "exposure": 2.0,
    "threshold": 0.5,
    "keep": "2GB",
    "serve": 8080,
    "mqtt": "mqtt://broker:1883/line1",
}


def _key(heading: str, key: str, value: Any = None) -> Iterator[str]:
    """A key with its explanation; without a value it is a comment with an example."""
    (field,) = (field for field in TABLES[heading] if key_of(field) == key)
    yield from textwrap.wrap(help_of(field), _COLUMNS, initial_indent="# ", subsequent_indent="# ")
    if value is not None:
        yield f"{key} = {toml(value)}"
        return
    example = toml(_EXAMPLES[key]) if key in _EXAMPLES else field.option.example or toml(field.default)
    yield f"# {key} = {example}"
