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

import json
import os
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dmdd_edge.cli.streams import write_output
from dmdd_edge.errors import OptionError
from dmdd_edge.messages.addresses import redacted, secret_parts
from dmdd_edge.messages.suggest import did_you_mean, neighbor
from dmdd_edge.options import Options
from dmdd_edge.options.model import OptionField, checked, option_fields
from dmdd_edge.options.values import from_text

#: The variable that names a configuration file.
CONFIG_VARIABLE = "DMDD_CONFIG"
#: Variables of another meaning, and those of the options that would have their names.
_TAKEN = {"DMDD_DATA": "DMDD_DATA_DIR"}
#: Where a value is from, besides a variable's name and a place in the file.
COMMAND_LINE, DEFAULT = "command line", "default"

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
    name = "DMDD_" + _key(field).upper()
    return _TAKEN.get(name, name)


def resolve(
    model: type[Options],
    command: str,
    commands: Sequence[str],
    given: Mapping[str, Any],
    file: Path | None,
) -> dict[str, Setting]:
    """The value of each option and where it is from.

    Args:
        model: declares the options.
        command: the command's name, which is also that of its table in the file.
        commands: all commands' names.
        given: what the command line sets, by field.
        file: a configuration file; None for the one that ``DMDD_CONFIG`` names, if any.

    Raises:
        OptionError: the file cannot be read, or has an unknown key or a wrong value; or a variable has.
    """
    if file is None and (named := os.environ.get(CONFIG_VARIABLE)):
        file = Path(named)
    fields = option_fields(model)
    from_file = {} if file is None else _read(file, fields, command, commands)
    settings: dict[str, Setting] = {}
    for field in fields:
        variable = variable_of(field)
        if field.name in given:
            settings[field.name] = Setting(given[field.name], COMMAND_LINE, 3)
        elif text := os.environ.get(variable):
            value = _checked(field, _variable_value(field, text), variable)
            settings[field.name] = Setting(value, variable, 2)
        elif field.name in from_file:
            settings[field.name] = from_file[field.name]
        else:
            settings[field.name] = Setting(field.default, DEFAULT, 0)
    _keep_secrets(fields, settings)
    return _displaced(model, fields, settings)


def print_settings(command: str, model: type[Options], settings: Mapping[str, Setting]) -> None:
    """Write the values as a configuration file to standard output; secrets are hidden.

    Raises:
        OptionError: standard output is closed, or cannot be written.
    """
    lines = [f"[{command}]"]
    for field in option_fields(model):
        setting, key = settings[field.name], _key(field)
        if setting.value is None or setting.value == ():
            lines.append(f"# {key} is not set")
        else:
            # Defaults are comments, so that what is printed means the same as a file.
            mark = "" if setting.rank else "# "
            lines.append(f"{mark}{key} = {_toml(setting.value)}  # {setting.origin}")
    write_output("\n".join([*lines, ""]))


def _key(field: OptionField) -> str:
    """An option's name in a file: that of the command line with ``_`` for ``-``."""
    return field.name if field.option.argument else field.spelling.lstrip("-").replace("-", "_")


def _read(
    file: Path, fields: Sequence[OptionField], command: str, commands: Sequence[str]
) -> dict[str, Setting]:
    text = _text(file)
    document = _parse(file, text)
    lines = _lines(text)
    by_key = {_key(field): field for field in fields}
    settings: dict[str, Setting] = {}
    tables = [("", document)]
    for name, value in document.items():
        if not isinstance(value, dict):
            continue
        if name not in commands:
            raise OptionError(
                f"{_place(file, lines.get(('', name)))}: unknown table [{name}].",
                did_you_mean(name, commands) or f"Commands: {', '.join(commands)}.",
            )
        if name == command:
            tables.append((name, value))
    for table, values in tables:
        for written, value in values.items():
            if table == "" and isinstance(value, dict):
                continue
            place = _place(file, lines.get((table, written)))
            field = by_key.get(written.replace("-", "_"))
            if field is None:
                raise OptionError(
                    f"{place}: {written!r} is not an option of {command}.", _fix(written, by_key, commands)
                )
            settings[field.name] = Setting(_checked(field, value, place), place, 1)
    return settings


def _fix(written: str, known: Iterable[str], commands: Sequence[str]) -> str:
    close = did_you_mean(written.replace("-", "_"), known)
    return close or "Remove it, or move an option of another command into a table, such as [train]."


def _checked(field: OptionField, value: Any, place: str) -> Any:
    """A value after the checks of its option; the message names where it is from."""
    try:
        return checked(field, value, _key(field))
    except OptionError as error:
        error.message = f"{place}: {error.message}"
        raise


def _variable_value(field: OptionField, text: str) -> Any:
    option = field.option
    return text if option.one_text else from_text(text, field.type, parsed=option.parse is not None)


def _displaced(
    model: type[Options], fields: Sequence[OptionField], settings: dict[str, Setting]
) -> dict[str, Setting]:
    """Of options that exclude each other those of the highest rank: ``--reset`` wins over DMDD_SOURCE."""
    defaults = {field.name: field.default for field in fields}
    for base in model.__mro__:
        declared = vars(base)
        for names in (*declared.get("EXCLUSIVE", ()), *declared.get("ALTERNATIVES", ())):
            present = [name for name in names if settings[name].value]
            highest = max((settings[name].rank for name in present), default=0)
            for name in present:
                if settings[name].rank < highest:
                    settings[name] = Setting(defaults[name], DEFAULT, 0)
    return settings


def _keep_secrets(fields: Iterable[OptionField], settings: Mapping[str, Setting]) -> None:
    for field in fields:
        setting = settings[field.name]
        for text in setting.value if isinstance(setting.value, tuple) else (setting.value,):
            if setting.rank in (1, 2) and isinstance(text, str):
                secrets.update(secret_parts(text))
                if field.name.endswith("_env"):
                    secrets.add(os.environ.get(text, ""))
    secrets.discard("")


def _text(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise OptionError(
            f"--config {file}: there is no such file.", neighbor(file) or "Check the path."
        ) from None
    except UnicodeDecodeError:
        raise OptionError(f"--config {file} is not a text in UTF-8.", "Save it as UTF-8.") from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"--config {file} cannot be read: {reason}.", "Check the path.") from None


def _parse(file: Path, text: str) -> dict[str, Any]:
    if sys.version_info >= (3, 11):
        import tomllib
    else:
        try:
            import tomli as tomllib
        except ModuleNotFoundError:  # an installation without dependencies, as on a Jetson
            raise OptionError(
                "A configuration file needs the package tomli on Python 3.10.",
                "Install it: pip install 'tomli>=2'",
            ) from None
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise OptionError(
            f"--config {file} is not TOML: {redacted(str(error))}.",
            'Write NAME = VALUE, with texts in quotes: source = "parts/".',
        ) from None


_HEADING = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_ASSIGNMENT = re.compile(r"""\s*["']?([A-Za-z0-9_-]+)["']?\s*=""")


def _lines(text: str) -> dict[tuple[str, str], int]:
    """The line of each table (as of table "") and of each key, by table and key; the first one counts."""
    found: dict[tuple[str, str], int] = {}
    table = ""
    for number, line in enumerate(text.splitlines(), 1):
        if heading := _HEADING.match(line):
            table = heading[1].strip("\"'")
            found.setdefault(("", table), number)
        elif assignment := _ASSIGNMENT.match(line):
            found.setdefault((table, assignment[1]), number)
    return found


def _place(file: Path, line: int | None) -> str:
    return str(file) if line is None else f"{file}, line {line}"


def _toml(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(_toml, value))}]"
    # JSON's escapes are TOML's, but for the delete character, which JSON leaves as it is.
    return json.dumps(redacted(str(value)), ensure_ascii=False).replace("\x7f", "\\u007f")
