"""Reads a station file into checked settings; all its problems are reported at once."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.commands import command
from dmdd_edge.options.toml_file import TomlFile, read_file
from dmdd_edge.options.toml_text import shown
from dmdd_edge.runtime.options.backend import BackendOptions
from dmdd_edge.runtime.sources.options import SourceOptions
from dmdd_edge.runtime.station.file.places import check_places
from dmdd_edge.runtime.station.file.references import check_references
from dmdd_edge.runtime.station.file.tables import Reading, tables_in
from dmdd_edge.runtime.station.file.triggers import check_triggers
from dmdd_edge.runtime.station.settings import (
    CameraSettings,
    GpioSettings,
    InspectionSettings,
    LineSettings,
    ModbusSettings,
    OpcUaSettings,
    PlcSettings,
    RecipeSettings,
    ResultOptions,
    StationSettings,
)

_CAMERA_EXAMPLE = 'source = "/dev/video0"'
#: The recipe of a file that names none.
_ONLY_RECIPE = 1


@dataclass
class Contents:
    """The right values of a station file, by field; of what is wrong, nothing.

    Attributes:
        top: of the file itself.
        cameras, inspections: by name.
        recipes: in order.
        plc: with the servers that the file has.
        gpio: with the lines that it has; None without ``[gpio]``.
        results: the sinks.
    """

    top: dict[str, Any]
    cameras: dict[str, dict[str, Any]] = field(default_factory=dict)
    inspections: dict[str, dict[str, Any]] = field(default_factory=dict)
    recipes: list[dict[str, Any]] = field(default_factory=list)
    plc: dict[str, Any] = field(default_factory=dict)
    gpio: dict[str, Any] | None = None
    results: dict[str, Any] = field(default_factory=dict)


def read_station(path: Path) -> StationSettings:
    """Read a station file.

    Relative paths in it start from its folder, since a service has another working directory than a person.

    Args:
        path: of the file.

    Raises:
        StationFileError: it has problems; every one of them is named, with its line, key and fix.
        OptionError: it cannot be read, or is not TOML.
    """
    write = f"Write one: {command('station', 'init', path)}"
    file = read_file(path, missing=write)
    if not file.values:
        raise OptionError(f"{path} is empty.", write.replace("Write one", "Write another"))
    reading = Reading(file)
    contents = _contents(reading, file)
    check_references(reading, contents)
    reading.check()
    settings = _settings(reading, contents, file)
    check_places(reading, settings)
    check_triggers(reading, settings)
    reading.check()
    return settings


def _contents(reading: Reading, file: TomlFile) -> Contents:
    values = file.values
    contents = Contents(reading.table((), values, ""))
    reading.is_name(("name",), contents.top.get("name", file.path.stem), "a station")
    for name, table in reading.named("cameras", _CAMERA_EXAMPLE):
        contents.cameras[name] = reading.table(("cameras", name), table, "cameras.NAME")
    for name, table in reading.named("inspections", 'category = "screw"'):
        contents.inspections[name] = reading.table(("inspections", name), table, "inspections.NAME")
    recipes = values.get("recipes", [])
    if isinstance(recipes, list):
        for index, table in enumerate(recipes):
            contents.recipes.append(reading.table(("recipes", index), table, "recipes"))
    else:
        reading.problem(
            ("recipes",), f"recipes is {shown(recipes)}; it must be a list of tables.", "Write [[recipes]]."
        )
    contents.plc = _nested(reading, values, "plc")
    contents.gpio = _nested(reading, values, "gpio") if "gpio" in values else None
    if "results" in values:
        contents.results = reading.table(("results",), values["results"], "results")
        reading.rules(("results",), ResultOptions, contents.results, "results")
    return contents


def _nested(reading: Reading, values: Mapping[str, Any], name: str) -> dict[str, Any]:
    """A table that holds tables, with each of these as a dictionary."""
    table = values.get(name, {})
    found = reading.table((name,), table, name)
    for inner in tables_in(name):
        if isinstance(table, dict) and inner in table:
            found[inner] = reading.table((name, inner), table[inner], f"{name}.{inner}")
    return found


def _settings(reading: Reading, contents: Contents, file: TomlFile) -> StationSettings:
    """What the file says, with the defaults that depend on it."""
    folder, stem = reading.folder, file.path.stem
    recipes = tuple(
        RecipeSettings(**{"name": f"recipe {recipe['number']}", **recipe}) for recipe in contents.recipes
    )
    name = contents.top.get("name", stem)
    if not recipes:
        recipes = (RecipeSettings(number=_ONLY_RECIPE, name=name, inspections=tuple(contents.inspections)),)
        reading.remarks.append(f"{file.path} has no [[recipes]]: recipe {_ONLY_RECIPE} has every inspection.")
    elif len(recipes) > 1 and "recipe" not in contents.top:
        first = recipes[0]
        reading.remarks.append(
            f"{file.path} does not set recipe: the first start has recipe {first.number} ({first.name})."
        )
    defaults = {
        "name": name,
        "recipe": recipes[0].number,
        "state_dir": folder / f"{stem}.state",
        "models_dir": folder / "models",
    }
    return StationSettings(
        **{**defaults, **contents.top},
        path=folder / file.path.name,
        cameras={name: _camera(name, values) for name, values in contents.cameras.items()},
        inspections={
            name: _inspection(name, values, contents) for name, values in contents.inspections.items()
        },
        recipes=recipes,
        plc=_plc(contents.plc),
        gpio=None if contents.gpio is None else _gpio(contents.gpio),
        results=ResultOptions.build(contents.results, frozenset(contents.results)),
        remarks=tuple(reading.remarks),
        place=reading.place,
    )


def _camera(name: str, values: Mapping[str, Any]) -> CameraSettings:
    own, options = _split(values, CameraSettings)
    return CameraSettings(name=name, **own, options=SourceOptions.build(options, frozenset(options)))


def _inspection(name: str, values: Mapping[str, Any], contents: Contents) -> InspectionSettings:
    own, options = _split(values, InspectionSettings)
    own.setdefault("camera", next(iter(contents.cameras)))
    return InspectionSettings(name=name, **own, options=BackendOptions.build(options, frozenset(options)))


def _split(values: Mapping[str, Any], model: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    """The values of a table for the settings themselves, and for their options."""
    names = model.__dataclass_fields__
    own = {name: value for name, value in values.items() if name in names}
    return own, {name: value for name, value in values.items() if name not in names}


def _plc(values: Mapping[str, Any]) -> PlcSettings:
    return PlcSettings(
        **_without(values, tables_in("plc")),
        modbus=ModbusSettings(**values["modbus"]) if "modbus" in values else None,
        opcua=OpcUaSettings(**values["opcua"]) if "opcua" in values else None,
    )


def _gpio(values: Mapping[str, Any]) -> GpioSettings:
    lines: dict[str, Any] = {}
    for name, value in values.items():
        if name in tables_in("gpio"):
            lines["pass_" if name == "pass" else name] = LineSettings(**value)
    return GpioSettings(**_without(values, tables_in("gpio")), **lines)


def _without(values: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name not in names}
