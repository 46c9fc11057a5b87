"""Options from a configuration file and from ``DMDD_*`` variables.

The command line wins over a variable, a variable over the file, the file over the default. A file is TOML;
its keys are the names of options, at the top or in a table named after the command::

    category = "screw"

    [run]
    source = "/dev/video0"
    jsonl = "results.jsonl"

Keys at the top must be options of the command that reads the file, so one file for several commands has its
keys in tables. Paths are relative to the working directory, as on the command line.
"""

from __future__ import annotations

import difflib
import os
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.cli.console import console
from dmdd_edge.cli.streams import write_output
from dmdd_edge.errors import OptionError
from dmdd_edge.messages.addresses import secret_parts
from dmdd_edge.messages.commands import spelled
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.messages.text import visible
from dmdd_edge.options import Options
from dmdd_edge.options.keys import checked_key, key_of, keys_of, renamed, similar
from dmdd_edge.options.model import OptionField, check_rules, checked, declared, option_fields
from dmdd_edge.options.toml_file import TomlFile, read_file
from dmdd_edge.options.toml_text import is_toml, toml
from dmdd_edge.options.values import from_text

#: The variable that names a configuration file.
CONFIG_VARIABLE = "DMDD_CONFIG"
#: Variables of another meaning, and those of the options that would have their names.
_TAKEN = {"DMDD_DATA": "DMDD_DATA_DIR"}
#: Where a value is from, besides a variable's name and a place in the file.
COMMAND_LINE, DEFAULT = "command line", "default"

#: The models of each command, with those of its sub-commands, by the command's name; loaded when needed.
Commands = Mapping[str, Callable[[], Sequence[type[Options]]]]

#: Variables of dmdd-edge that set no option.
_NO_OPTIONS = (
    *(CONFIG_VARIABLE, "DMDD_TELEMETRY", "DMDD_TRACEBACK", "DMDD_PROXY", "DMDD_MAX_MEGAPIXELS"),
    *("DMDD_DATA_CACHE", "DMDD_STORE_CACHE"),
    *("DMDD_MQTT_USER", "DMDD_MQTT_PASSWORD", "DMDD_SIGN_PASSWORD"),
)
#: How alike two names must be for one to be taken for a mistyped other.
_CLOSE = 0.8
#: Variables that have been warned of.
_warned: set[str] = set()

#: Secrets that came from variables and files, so that no message shows them.
secrets: set[str] = set()


@dataclass(frozen=True)
class Setting:
    """The value of an option, and where it is from.

    Attributes:
        value: as the option's type.
        origin: ``command line``, a variable's name, a place in the file, or ``default``.
        rank: the larger one wins.
    """

    value: Any
    origin: str
    rank: int


def variable_of(field: OptionField) -> str:
    """The variable that sets an option: ``--camera-fps`` is DMDD_CAMERA_FPS."""
    name = "DMDD_" + key_of(field).upper()
    return _TAKEN.get(name, name)


def resolve(
    model: type[Options],
    command: str,
    commands: Commands,
    given: Mapping[str, Any],
    file: Path | None,
) -> dict[str, Setting]:
    """The value of each option and where it is from.

    Args:
        model: declares the options.
        command: the command's name, which is also that of its table in the file.
        commands: all commands.
        given: what the command line sets, by field.
        file: a configuration file; None for the one that ``DMDD_CONFIG`` names, if any.

    Raises:
        OptionError: the file cannot be read, or has an unknown key or a wrong value; or a variable has.
    """
    origin = "--config"
    if file is None and (named := os.environ.get(CONFIG_VARIABLE)):
        file, origin = Path(named), CONFIG_VARIABLE
    fields = option_fields(model)
    from_file = {} if file is None else _read(read_file(file, origin), fields, command, commands)
    settings: dict[str, Setting] = {}
    for field in fields:
        variable = variable_of(field)
        if field.name in given:
            settings[field.name] = Setting(given[field.name], COMMAND_LINE, 3)
        elif text := os.environ.get(variable):
            _refuse_each_time(field, variable)
            value = checked_key(field, _variable_value(field, text), variable)
            settings[field.name] = Setting(value, variable, 2)
        elif field.name in from_file:
            _refuse_each_time(field, from_file[field.name].origin)
            settings[field.name] = from_file[field.name]
        else:
            settings[field.name] = Setting(field.default, DEFAULT, 0)
    _check_variables(command, fields, commands)
    keep_secrets((name, setting.value) for name, setting in settings.items() if setting.rank in (1, 2))
    return _displaced(model, fields, settings)


def _refuse_each_time(field: OptionField, origin: str) -> None:
    """Refuse what a person decides each time: a file would decide it for ever."""
    if field.option.each_time:
        raise OptionError(
            f"{origin} sets {field.spelling}, which only the command line can set.",
            f"Remove it, and give {field.spelling} with the one command that it is meant for.",
        )


def print_settings(command: str, model: type[Options], settings: Mapping[str, Setting]) -> None:
    """Write the values as a configuration file to standard output; secrets are hidden.

    Raises:
        OptionError: options contradict each other, or standard output is closed or cannot be written.
    """
    fields = option_fields(model)
    # What the command line says is checked as the command itself does; the rest has been checked.
    values = {
        field.name: setting.value if setting.rank < 3 else checked(field, setting.value)
        for field in fields
        for setting in [settings[field.name]]
    }
    check_rules(model, values, frozenset(name for name, setting in settings.items() if setting.rank))
    # An argument and the option for the same, such as run's SOURCE and --source: one of them is enough.
    arguments = {field.name for field in fields if field.option.argument}
    excluded = {
        name
        for names in declared(model, "EXCLUSIVE")
        for name in names
        if name in arguments or any(values[other] for other in names if other in arguments)
    }
    lines = [f"[{command}]"]
    for field in fields:
        setting, key, value = settings[field.name], key_of(field), values[field.name]
        if value is None or value == () or value is MISSING:
            if field.name not in excluded:
                lines.append(f"# {key} is not set")
            continue
        text, origin = (
            toml(field.option.written(value) if field.option.written else value),
            visible(setting.origin),
        )
        # Defaults are comments, so that what is printed means the same as a file.
        mark = "" if setting.rank else "# "
        if not is_toml(text):
            mark, text, origin = "# ", visible(text), f"TOML cannot hold this value; {origin}"
        lines.append(f"{mark}{key} = {text}  # {origin}")
    write_output("\n".join([*lines, ""]))


def _read(
    file: TomlFile, fields: Sequence[OptionField], command: str, commands: Commands
) -> dict[str, Setting]:
    by_key = {key_of(field): field for field in fields}
    settings: dict[str, Setting] = {}
    for name, value in file.values.items():
        if isinstance(value, dict):
            _check_table(file, name, value, command, commands)
    own = file.values.get(command)
    tables = [("", file.values), *([(command, own)] if isinstance(own, dict) else [])]
    for table, values in tables:
        written_as: dict[str, str] = {}
        for written, value in values.items():
            if table == "" and isinstance(value, dict):
                continue
            place = file.place(*filter(None, (table, written)))
            field = by_key.get(written.replace("-", "_")) or renamed(
                by_key.values(), written, value, console.print
            )
            if (
                field is None
                and table == command
                and written.replace("-", "_") in keys_of(commands[command]())
            ):
                continue  # of another sub-command: a group has one table
            if field is None:
                raise _unknown(place, table, written, command, by_key, commands)
            if field.name in written_as:
                both = f"{written_as[field.name]} and {written}"
                raise OptionError(
                    f"{place}: {both} are the same option.", f"Keep one of them, as {key_of(field)}."
                )
            written_as[field.name] = written
            settings[field.name] = Setting(checked_key(field, value, place), place, 1)
    return settings


def _check_table(
    file: TomlFile, name: str, values: Mapping[str, Any], command: str, commands: Commands
) -> None:
    """Refuse a table of no command, and a key that the table's command does not have."""
    if name not in commands:
        raise OptionError(
            f"{file.place(name)}: unknown table [{visible(name)}].",
            did_you_mean(name, commands) or f"Commands: {', '.join(commands)}.",
        )
    if name == command:
        return
    known = keys_of(commands[name]())
    for written in values:
        if written.replace("-", "_") not in known:
            raise _unknown(file.place(name, written), name, written, name, known, commands)


def _unknown(
    place: str, table: str, written: str, command: str, known: Iterable[str], commands: Iterable[str]
) -> OptionError:
    key, known = written.replace("-", "_"), list(known)
    if table == "" and key in commands:
        return OptionError(f"{place}: [{key}] must be a table.", f"Write [{key}], and its options below.")
    fix = similar(written, known)
    fix = fix or "Remove it, or move an option of another command into a table, such as [train]."
    return OptionError(f"{place}: {visible(written)!r} is not an option of {command}.", fix)


def _check_variables(command: str, fields: Sequence[OptionField], commands: Commands) -> None:
    """Refuse DMDD_NO_X for a switch; warn of a name that is close to a variable's."""
    by_variable = {variable_of(field): field for field in fields}
    for name in sorted(os.environ):
        if not name.startswith("DMDD_") or name in {*by_variable, *_NO_OPTIONS, *_warned}:
            continue
        positive = by_variable.get("DMDD_" + name.removeprefix("DMDD_").removeprefix("NO_"))
        if positive is not None and "/" in positive.option.name:
            variable = variable_of(positive)
            raise OptionError(f"{name} is not a variable of dmdd-edge.", f"Set {variable}=0 instead.")
        former = spelled(name.removeprefix("DMDD_").lower())
        renamed = [variable for variable, field in by_variable.items() if former in field.option.earlier]
        short = {variable.removeprefix("DMDD_"): variable for variable in (*by_variable, *_NO_OPTIONS)}
        close = renamed or [
            short[key] for key in difflib.get_close_matches(name.removeprefix("DMDD_"), short, 1, _CLOSE)
        ]
        if close and not any(name in _variables(load()) for load in commands.values()):
            _warned.add(name)
            console.print(
                f"{name} has no effect: it is not a variable of {command}. Did you mean {close[0]}?"
            )


def _variables(models: Iterable[type[Options]]) -> set[str]:
    return {variable_of(field) for model in models for field in option_fields(model)}


def _variable_value(field: OptionField, text: str) -> Any:
    option = field.option
    return text if option.one_text else from_text(text, field.type, parsed=option.parse is not None)


def _displaced(
    model: type[Options], fields: Sequence[OptionField], settings: dict[str, Setting]
) -> dict[str, Setting]:
    """Of options that exclude each other those of the highest rank: ``--reset`` wins over DMDD_SOURCE."""
    defaults = {field.name: field.default for field in fields}
    for names in (*declared(model, "EXCLUSIVE"), *declared(model, "ALTERNATIVES")):
        present = [name for name in names if settings[name].value]
        highest = max((settings[name].rank for name in present), default=0)
        for name in present:
            if settings[name].rank < highest:
                settings[name] = Setting(defaults[name], DEFAULT, 0)
    return settings


def keep_secrets(values: Iterable[tuple[str, Any]]) -> None:
    """Remember what no message may show.

    Args:
        values: of options that came from a file or a variable, each after its field's name.
    """
    for name, value in values:
        for text in value if isinstance(value, tuple) else (value,):
            if isinstance(text, str):
                secrets.update(secret_parts(text))
                if name.endswith("_env"):
                    secrets.add(os.environ.get(text, ""))
    secrets.discard("")
