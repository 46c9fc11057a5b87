"""A TOML file that a user wrote, as tables of values, each with its line."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.messages.suggest import neighbor
from dmdd_edge.options.toml_lines import DEEPEST, Route, lines_of, too_deep
from dmdd_edge.outside_files import read_bounded

#: The largest file in bytes; a hundred options with long paths have less.
LARGEST = 1 << 20

_HEADING = re.compile(r"\s*\[\s*([^\[\]]+?)\s*\]")
_ASSIGNMENT = re.compile(r"""\s*["']?([A-Za-z0-9_.-]+)["']?\s*=""")
#: What the parser says about a key or a table that occurs twice, and where.
_TWICE = re.compile(r"(?:Cannot overwrite a value|Cannot declare .* twice|Duplicate .*) \(at line (\d+)")


@dataclass(frozen=True)
class TomlFile:
    """What a file says.

    Attributes:
        path: of the file, as the user named it.
        values: as TOML's types; a table is a dictionary.
        lines: the line of each table, key and item.
    """

    path: Path
    values: dict[str, Any]
    lines: dict[Route, int] = field(repr=False)

    def place(self, *route: str | int) -> str:
        """Where a table, a key or an item is, for a message; what the file lacks is where it would be."""
        line = self.line(*route)
        return str(self.path) if line is None else f"{self.path}, line {line}"

    def line(self, *route: str | int) -> int | None:
        """The line of a table, a key or an item, or of what would hold it; None when the file has neither."""
        found = (self.lines.get(route[:length]) for length in range(len(route), 0, -1))
        return next((line for line in found if line is not None), None)


def read_file(path: Path, origin: str = "", missing: str = "Check the path.") -> TomlFile:
    """Read a TOML file.

    Args:
        path: must be a regular file.
        origin: the option or the variable that names it; empty for an argument.
        missing: the fix when there is no such file, and none with a similar name.

    Raises:
        OptionError: it cannot be read, or is not TOML.
    """
    name = f"{origin} {path}".lstrip()
    text = _text(path, name, missing)
    line = too_deep(text)
    if line is not None:
        raise OptionError(
            f"{name}, line {line}: a key has more than {DEEPEST} names with dots between them.",
            f"Write at most {DEEPEST} names in a key.",
        )
    values = _parse(name, text)
    return TomlFile(path, values, lines_of(text, _parser().loads))


def _text(path: Path, name: str, missing: str) -> str:
    try:
        data = read_bounded(path, LARGEST)
    except FileNotFoundError:
        raise OptionError(f"{name}: there is no such file.", neighbor(path) or missing) from None
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise OptionError(f"{name} cannot be read: {reason}.", "Check the path.") from None
    try:
        text = data.decode("utf-8-sig")  # an editor may write a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise OptionError(f"{name}, line {line}, is not a text in UTF-8.", "Save it as UTF-8.") from None
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _parser() -> Any:
    """The module that parses.

    Raises:
        OptionError: it is not installed.
    """
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
    return tomllib


def _parse(name: str, text: str) -> dict[str, Any]:
    parser = _parser()
    try:
        parsed: dict[str, Any] = parser.loads(
            text + "\n"
        )  # without it, the last line has no number in a message
        return parsed
    except parser.TOMLDecodeError as error:
        reason = _reason(str(error), text)
    except RecursionError:
        reason = "its arrays or tables are nested too deeply"
    except (ValueError, OverflowError):  # Python's limit on the digits of a number
        reason = "a number has too many digits"
    raise OptionError(
        f"{name} is not TOML: {redacted(reason)}.",
        'Write NAME = VALUE, with texts in quotes: source = "parts/".',
    )


def _reason(said: str, text: str) -> str:
    """The parser's message; for what occurs twice, with its name."""
    twice = _TWICE.match(said)
    if twice is None:
        return said
    number = int(twice[1])
    line = text.split("\n")[number - 1]
    if heading := _HEADING.match(line):
        return f"the table [{heading[1]}] occurs twice, again in line {number}"
    if assignment := _ASSIGNMENT.match(line):
        return f"the key {assignment[1]} occurs twice, again in line {number}"
    return f"a key occurs twice, again in line {number}"
