"""The keys of a station file for its page in the docs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from dmdd_edge.options.keys import key_of
from dmdd_edge.options.model import OptionField
from dmdd_edge.options.toml_text import toml
from dmdd_edge.options.values import any_length, describe, literals, members
from dmdd_edge.runtime.station.file.schema import title_of
from dmdd_edge.runtime.station.file.tables import NEEDED, TABLES, help_of


@dataclass(frozen=True)
class Key:
    """A key.

    Attributes:
        name: as the file spells it.
        help: what it means.
        value: what it may have, in words.
        default: as TOML in backquotes; ``required``; empty without one.
    """

    name: str
    help: str
    value: str
    default: str


@dataclass(frozen=True)
class Table:
    """A kind of table.

    Attributes:
        heading: as the file writes it.
        title: what it is.
        keys: in order.
    """

    heading: str
    title: str
    keys: tuple[Key, ...]


def reference() -> Iterator[Table]:
    """Every kind of table, in the order in which a file has them; those with the same keys are one."""
    alike: dict[tuple[OptionField, ...], list[str]] = {}
    for heading, fields in TABLES.items():
        alike.setdefault(fields, []).append(heading)
    for fields, headings in alike.items():
        written = ", ".join(_written(heading) for heading in headings)
        titles = [title_of(heading) if heading else "The station as a whole" for heading in headings]
        needed = NEEDED.get(headings[0], ())
        keys = tuple(_key(field, key_of(field) in needed) for field in fields)
        yield Table(written, ". ".join(titles), keys)


def _written(heading: str) -> str:
    if not heading:
        return "Top of the file"
    return f"`[[{heading}]]`" if heading == "recipes" else f"`[{heading}]`"


def _key(field: OptionField, needed: bool) -> Key:
    option, default = field.option, field.default
    shown = ""
    if needed:
        shown = "required"
    elif isinstance(default, float):
        shown = f"`{default:g}`"
    elif default not in (None, (), dataclasses.MISSING):
        shown = f"`{toml(option.written(default) if option.written else default)}`"
    return Key(key_of(field), help_of(field), _value(field), shown)


def _value(field: OptionField) -> str:
    """What a key may have, in words."""
    option = field.option
    values = option.choices or literals(field.type)
    if values:
        return ", ".join(f"`{value}`" for value in values)
    if option.parse is not None:
        return f"such as `{option.example}`"
    words = describe(_without_none(field)) + _range(field)
    lists = any(any_length(part) for part in members(field.type))
    return f"{words}, such as `{option.example}`" if lists and option.example else words


def _without_none(field: OptionField) -> Any:
    parts = members(field.type)
    return parts[0] if len(parts) == 1 else field.type


def _range(field: OptionField) -> str:
    option = field.option
    low = option.minimum if option.above is None else option.above
    if low is not None and option.maximum is not None:
        return f", {'more than ' if option.above is not None else ''}{low:g} to {option.maximum:.15g}"
    if low is not None:
        return f", {'more than' if option.above is not None else 'at least'} {low:g}"
    return ""
