"""Reads tables of a station file: each key by the declaration of its option, and with every problem."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from dmdd_edge.errors import DmddError, OptionError
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.messages.text import LONGEST_NAME, is_plain_name, visible
from dmdd_edge.options.keys import key_of, renamed, similar, unspelled
from dmdd_edge.options.model import OptionField, broken_rules, checked, option_fields
from dmdd_edge.options.toml_file import TomlFile
from dmdd_edge.options.toml_lines import Route
from dmdd_edge.options.toml_text import shown
from dmdd_edge.runtime.options.backend import CudaOptions
from dmdd_edge.runtime.options.source import CameraOptions, EveryOption
from dmdd_edge.runtime.sources.urls import DRAWN_PREFIX, IMAGES_PREFIX, REPLAY_PREFIX, scheme_of
from dmdd_edge.runtime.station import settings as declared
from dmdd_edge.runtime.station.file.problems import Problem, StationFileError

#: Options of a run that a station does not have, with the reason.
NOT_OF_A_STATION: Final = {
    "resume": "Remove it: a station always continues its files.",
    "show": "Remove it, and watch the station in a browser: serve = 8080.",
    "drift_state": "Remove it: a station keeps that in state_dir.",
}
#: What else a station does not have, whatever table it is written in.
_NOWHERE: Final = {
    "strip": "Remove it: a station decides at each trigger, so it inspects no strips of a web. Use "
    "dmdd-edge run --strip ROWS.",
}


def _keyed(model: type[Any]) -> tuple[OptionField, ...]:
    """The fields of settings that are keys."""
    return tuple(field for field in option_fields(model) if field.option.help)


def _line_keys(name: str) -> tuple[OptionField, ...]:
    """The keys of a 24 V line: only what answers a part has a pulse and a delay."""
    answers = name in ("pass", "reject")
    return tuple(
        field for field in _keyed(declared.LineSettings) if answers or field.name in ("line", "active")
    )


#: The keys of each kind of table, as options; by its heading, in the order of the reference.
TABLES: Final[Mapping[str, tuple[OptionField, ...]]] = {
    "": _keyed(declared.StationSettings),
    "cameras.NAME": (
        *_keyed(declared.CameraSettings),
        *option_fields(CameraOptions),
        *option_fields(EveryOption),
    ),
    "inspections.NAME": (*_keyed(declared.InspectionSettings), *option_fields(CudaOptions)),
    "recipes": _keyed(declared.RecipeSettings),
    "plc": _keyed(declared.PlcSettings),
    "plc.modbus": _keyed(declared.ModbusSettings),
    "plc.opcua": _keyed(declared.OpcUaSettings),
    "gpio": _keyed(declared.GpioSettings),
    **{f"gpio.{name}": _line_keys(name) for name in ("ready", "pass", "reject", "fault", "trigger")},
    "results": tuple(
        field for field in option_fields(declared.ResultOptions) if field.name not in NOT_OF_A_STATION
    ),
}

#: The keys without which a table says nothing.
NEEDED: Final[Mapping[str, tuple[str, ...]]] = {
    "cameras.NAME": ("source",),
    "recipes": ("number", "inspections"),
    **{name: ("line",) for name in TABLES if name.startswith("gpio.")},
}


def help_of(field: OptionField) -> str:
    """What a key means, with other keys as the file spells them."""
    return re.sub(r"--([a-z][a-z-]*)", lambda found: unspelled(found[1]), field.option.help)


def tables_in(heading: str) -> tuple[str, ...]:
    """The names of the tables that a table may hold: of ``plc`` these are modbus and opcua."""
    prefix = f"{heading}." if heading else ""
    inside = (name.removeprefix(prefix) for name in TABLES if name.startswith(prefix) and name != heading)
    return tuple(dict.fromkeys(name.split(".")[0] for name in inside))


class Reading:
    """A station file while it is read.

    Args:
        file: what it says.

    Attributes:
        folder: that relative paths start from.
        problems: what is wrong so far, with the line of each.
        remarks: what a person should know, a sentence each.
    """

    def __init__(self, file: TomlFile) -> None:
        self._file = file
        self.folder = file.path.absolute().parent
        self.problems: list[tuple[int, Problem]] = []
        self.remarks: list[str] = []
        #: Where a table should be and something else is.
        self.not_tables: set[Route] = set()
        #: What mistyped keys probably mean: the table, and the question.
        self._meant: set[Route] = set()
        #: Keys as the file writes them, with - instead of _.
        self._written: dict[Route, str] = {}

    def place(self, *route: str | int) -> str:
        """Where a key is in the file, for a message."""
        return self._file.place(*self._as_written(route))

    def problem(self, route: Route, message: str, fix: str) -> None:
        """Note a problem with a key, a table, or, of an empty route, the file."""
        key, written = ".".join(str(part) for part in route), self._as_written(route)
        problem = Problem(self._file.place(*written), visible(key), visible(message), visible(fix))
        self.problems.append((self._file.line(*written) or 0, problem))

    def _as_written(self, route: Route) -> Route:
        """A route with its key as the file writes it, maybe with - instead of _."""
        written = self._written.get(route)
        return route if written is None else (*route[:-1], written)

    def check(self) -> None:
        """Raise a ``StationFileError`` with every problem, if there is one."""
        if self.problems:
            ordered = sorted(self.problems, key=lambda each: each[0])
            raise StationFileError(self._file.path, [problem for _, problem in ordered])

    def has_problem(self, *route: str | int) -> bool:
        """Whether a problem with a key, or inside a table, is noted."""
        key = ".".join(str(part) for part in route)
        return any(f"{problem.key}.".startswith(f"{key}.") for _, problem in self.problems)

    def is_meant(self, *route: str | int) -> bool:
        """Whether an unknown key is probably a mistyped one."""
        return (*route[:-1], f"Did you mean {route[-1]!r}?") in self._meant

    def table(self, route: Route, table: Any, heading: str) -> dict[str, Any]:
        """The values of a table's keys that are right, by field; tables inside it are left to the caller.

        Args:
            route: where it is.
            table: what is there.
            heading: its kind, of ``TABLES``.
        """
        name = ".".join(str(part) for part in route)
        if not isinstance(table, dict):
            self.not_tables.add(route)
            self.problem(
                route,
                f"{name} is {shown(table)}; it must be a table.",
                f"Write [{name}], and its keys below.",
            )
            return {}
        fields, inside = TABLES[heading], tables_in(heading)
        by_key = {key_of(field): field for field in fields}
        values: dict[str, Any] = {}
        for written, value in table.items():
            key = written.replace("-", "_")
            if written in inside:
                continue
            try:
                field = by_key.get(key) or renamed(fields, written, value, self.remarks.append)
            except OptionError as error:
                self._refused((*route, written), error, fields)
                continue
            if field is None and isinstance(value, dict):
                self._unknown_table(route, written, inside)
                continue
            if field is None:
                self._unknown(route, heading, written, [*by_key, *inside])
                continue
            here = (*route, key_of(field))
            if here in self._written:
                both = f"{self._written[here]} and {written}"
                self._written[here] = written
                self.problem(here, f"{both} are the same key.", f"Keep one of them, as {key_of(field)}.")
                continue
            self._written[here] = written
            try:
                values[field.name] = self._resolved(field, checked(field, value, key_of(field)))
            except OptionError as error:
                self._refused(here, error, fields)
        return values

    def named(self, kind: str, example: str) -> Iterator[tuple[str, Any]]:
        """The tables of a kind that have names: of ``cameras``, ``[cameras.NAME]``.

        Args:
            kind: key of the tables.
            example: of a key of such a table, for a message.
        """
        tables = self._file.values.get(kind, {})
        if not isinstance(tables, dict):
            self.problem(
                (kind,), f"{kind} has no names.", f"Write [{kind}.NAME], and its keys below: {example}."
            )
            return
        for name, table in tables.items():
            if not isinstance(table, dict):
                fix = f"Write [{kind}.NAME], and its keys below: {example}."
                self.problem((kind, name), f"{kind}.{name} is {shown(table)}; it must be a table.", fix)
            elif self.is_name((kind, name), name, kind):
                yield name, table

    def is_name(self, route: Route, name: str, of: str) -> bool:
        """Whether a text can be a name; one that cannot is noted.

        Args:
            route: where it is.
            name: the text.
            of: what it names, for the message.
        """
        if is_plain_name(name):
            return True
        self.problem(
            route,
            f"{name!r} cannot be a name of {of}.",
            f"Use letters, digits, - and _, at most {LONGEST_NAME} bytes.",
        )
        return False

    def rules(self, route: Route, model: type[Any], values: Mapping[str, Any], heading: str) -> None:
        """Note each option of a table that has no effect or contradicts another one."""
        given = frozenset(values)
        defaults = {field.name: field.default for field in option_fields(model)}
        broken = list(broken_rules(model, {**defaults, **values}, given))
        fields = {field.name: field for field in option_fields(model)}
        for name, error in broken:
            self._refused((*route, key_of(fields[name])), error, TABLES[heading])
        if broken:
            return
        try:
            model.build(dict(values), given)
        except OptionError as error:
            self.refused(route, error, heading)

    def refused(self, route: Route, error: DmddError, heading: str, otherwise: str = "") -> None:
        """Note what something else says of a table, with its keys as the file spells them.

        Args:
            route: of the table.
            error: what it says.
            heading: the table's kind.
            otherwise: the key that it is about, if it names none that the table has.
        """
        fields = TABLES[heading]
        spellings = {name: key_of(field) for field in fields for name in (field.spelling, key_of(field))}
        named = [
            key
            for name, key in spellings.items()
            if (*route, key) in self._written
            and re.search(rf"(?<![\w-]){re.escape(name)}(?![\w-])", error.message)
        ]
        self._refused((*route, *(named[:1] or filter(None, [otherwise]))), error, fields)

    def _refused(self, route: Route, error: DmddError, fields: Sequence[OptionField]) -> None:
        """Note what the check of an option says, with keys as the file spells them."""
        keys = {field.spelling: key_of(field) for field in fields}
        message, fix = (
            re.sub(r"--[a-z][a-z-]*", lambda found: keys.get(found[0], found[0]), text)
            for text in (error.message, error.fix)
        )
        self.problem(route, message, fix)

    def _unknown_table(self, route: Route, written: str, known: Sequence[str]) -> None:
        name = ".".join((*(str(part) for part in route), written))
        fix = _elsewhere(written, tables=True) or did_you_mean(written, known)
        if not route and written == "run":  # a configuration file of run
            fix = "Move its options into [cameras.NAME], [inspections.NAME] and [results]."
        listed = ", ".join(known) or "none"
        self.problem((*route, written), f"[{name}] is unknown.", fix or f"Remove it. Tables here: {listed}.")

    def _unknown(self, route: Route, heading: str, written: str, known: Sequence[str]) -> None:
        key = written.replace("-", "_")
        name = ".".join(str(part) for part in route if isinstance(part, str))
        where = f"[[{name}]]" if heading == "recipes" else f"[{name}]" if name else "a station file"
        fix = _NOWHERE.get(key, "") or (NOT_OF_A_STATION.get(key, "") if heading == "results" else "")
        meant = similar(written, known)
        if meant:
            self._meant.add((*route, meant))
        if key == "name" and heading.endswith(".NAME"):
            fix = "Remove it: the name is in the heading."
        fix = fix or _elsewhere(key) or meant
        fix = fix or f"Remove it. Its keys are: {', '.join(known)}."
        self.problem((*route, written), f"{written!r} is not a key of {where}.", fix)

    def _resolved(self, field: OptionField, value: Any) -> Any:
        """A relative path as one that starts from the file's folder."""
        if isinstance(value, Path):
            located_at = self.folder / value
            return located_at.resolve() if ".." in value.parts else located_at
        return located(value, self.folder) if field.name == "source" else value


def _elsewhere(key: str, tables: bool = False) -> str:
    """The fix for a key or a table that belongs into another table; empty when it belongs into none."""
    for heading, fields in TABLES.items():
        if heading and key in tables_in(heading) and key != "NAME":
            return f"Write [{heading}.{key}]."
        if not tables and key in {key_of(field) for field in fields}:
            into = f"[[{heading}]]" if heading == "recipes" else f"[{heading}]"
            return f"Move it into {into}." if heading else "Move it to the top of the file."
    return ""


def located(source: str, folder: Path) -> str:
    """A source whose path starts from a folder; a camera and a stream stay as they are."""
    for prefix in (REPLAY_PREFIX, IMAGES_PREFIX):
        if source.startswith(prefix):
            return f"{prefix}{folder / source.removeprefix(prefix).removeprefix('//')}"
    plain = source.isdecimal() or scheme_of(source) or source.startswith(DRAWN_PREFIX)
    return source if plain else str(folder / source)


def unknown_name(kind: str, wrong: str, known: Sequence[str]) -> tuple[str, str]:
    """The message and the fix for a name of something that the file does not have.

    Args:
        kind: what it names, such as ``camera``.
        wrong: the name.
        known: the names that there are.
    """
    there = f"{kind}s: {', '.join(known)}" if known else f"there is no {kind}"
    fix = did_you_mean(wrong, known) or f"Add [{kind}s.{wrong}], or name another one."
    return f"{kind} {wrong!r} is unknown ({there}).", fix
