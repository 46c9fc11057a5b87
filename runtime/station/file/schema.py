"""The JSON Schema of a station file, with which an editor completes, explains and checks it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any, Final, Literal, get_args, get_origin

from dmdd_edge.options.keys import key_of
from dmdd_edge.options.model import OptionField
from dmdd_edge.options.values import any_length, members
from dmdd_edge.runtime.station.file.tables import NEEDED, TABLES, help_of, tables_in

#: The name under which ``station init`` writes it beside a station file.
SCHEMA_NAME: Final = "station.schema.json"

_TITLES = {
    "": "dmdd-edge station file",
    "cameras": "Cameras by name: [cameras.NAME]",
    "cameras.NAME": "A camera, stream or folder of images",
    "inspections": "Inspections by name: [inspections.NAME]",
    "inspections.NAME": "What is inspected: a region of a camera's image, with a bundle",
    "recipes": "What is inspected of one product",
    "plc": "What all ways to a PLC share",
    "plc.modbus": "Modbus TCP server",
    "plc.opcua": "OPC UA server",
    "gpio": "24 V lines",
    "gpio.ready": "Output: a trigger is accepted now",
    "gpio.pass": "Output: the part passes",
    "gpio.reject": "Output: the part does not pass",
    "gpio.fault": "Output: somebody must look",
    "gpio.trigger": "Input: its rising edge triggers a part",
    "results": "Where results go",
}
_PLAIN = {bool: "boolean", int: "integer", float: "number", str: "string", Path: "string"}


def title_of(heading: str) -> str:
    """What a table of a station file is, in a few words."""
    return _TITLES[heading]


def station_schema() -> dict[str, Any]:
    """The schema, in the draft that editors know."""
    return {"$schema": "http://json-schema.org/draft-07/schema#", **_table("")}


def _table(heading: str) -> dict[str, Any]:
    properties = {key_of(field): _value(field) for field in TABLES[heading]}
    for name in tables_in(heading):
        inner = f"{heading}.{name}" if heading else name
        if inner == "recipes":
            properties[name] = {
                "title": _TITLES[inner],
                "type": "array",
                "items": _table(inner),
                "minItems": 1,
            }
        elif inner in TABLES:
            properties[name] = _table(inner)
        else:
            properties[name] = {
                "title": _TITLES[inner],
                "type": "object",
                "additionalProperties": _table(f"{inner}.NAME"),
                "minProperties": 1,
            }
    needed = ["cameras", "inspections"] if heading == "" else list(NEEDED.get(heading, ()))
    return {
        "title": _TITLES[heading],
        "type": "object",
        "properties": properties,
        "additionalProperties": False,
        **({"required": needed} if needed else {}),
    }


def _value(field: OptionField) -> dict[str, Any]:
    """What a key may have."""
    option, default = field.option, field.default
    allowed = [_member(part, field) for part in members(field.type)]
    if option.parse is not None and not any(any_length(part) for part in members(field.type)):
        # A text that the option reads itself, such as a size, or the number that it stands for.
        allowed = [*(one for one in allowed if one["type"] == "integer"), _text(field)]
    elif option.number:
        allowed.append({"type": "integer", "minimum": 0})
    described: dict[str, Any] = {"description": help_of(field)}
    if default not in (None, (), dataclasses.MISSING):
        described["default"] = option.written(default) if option.written else default
    return {**described, **(allowed[0] if len(allowed) == 1 else {"anyOf": allowed})}


def _member(part: Any, field: OptionField) -> dict[str, Any]:
    """One of the types that a key may have, with its range."""
    option = field.option
    if get_origin(part) is Literal:
        return {"type": "string", "enum": list(get_args(part))}
    if get_origin(part) is tuple:
        inner = get_args(part)
        if option.parse is not None:
            return {"type": "array", "items": {"type": "string"}}
        length = {} if any_length(part) else {"minItems": len(inner), "maxItems": len(inner)}
        return {"type": "array", "items": _member(inner[0], field), **length}
    schema: dict[str, Any] = {"type": _PLAIN[part]}
    if part in (int, float):
        bounds = (option.minimum, option.maximum, option.above)
        names = ("minimum", "maximum", "exclusiveMinimum")
        schema |= {name: bound for name, bound in zip(names, bounds, strict=True) if bound is not None}
    if part is str and option.choices:
        schema["enum"] = list(option.choices)
    return schema


def _text(field: OptionField) -> dict[str, Any]:
    """A text that the option reads itself."""
    values = [
        value for part in members(field.type) if get_origin(part) is Literal for value in get_args(part)
    ]
    if values:
        return {"type": "string", "enum": values}
    example = field.option.example.strip('"')
    return {"type": "string", **({"examples": [example]} if example else {})}
