"""Fill in the generated parts of the reference pages: the options of commands, and the public names."""

from __future__ import annotations

import inspect
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

REFERENCE = Path(__file__).resolve().parent / "reference"
MARKED = re.compile(r"(<!-- generated: (\w+) -->\n).*?(\n<!-- end -->\n)", re.DOTALL)
CODE = re.compile(r"((?: +#: .*\n)+) +(\w+) = (\d+)$", re.MULTILINE)
NAME = re.compile(r"^::: dmdd_edge\.(\w+)$", re.MULTILINE)


def main() -> None:
    """Write the pages that are not up to date."""
    for path in pages():
        old = path.read_text(encoding="utf-8")
        new = filled(old)
        if new != old:
            path.write_text(new, encoding="utf-8")
            print(f"filled {path}", file=sys.stderr)


def pages() -> list[Path]:
    """The pages with a generated part."""
    return [
        *(REFERENCE / name for name in ("cli.md", "python.md")),
        REFERENCE.parent / "station.md",
        REFERENCE.parent / "plc.md",
    ]


def filled(page: str) -> str:
    """A page with its generated parts as they must be."""
    generators: Mapping[str, Callable[[], Iterator[str]]] = {
        "commands": commands,
        "station": station_keys,
        "signals": signals,
        "codes": error_codes,
        "names": lambda: names(NAME.findall(page)),
    }
    return MARKED.sub(
        lambda part: part[1] + "\n" + "\n".join(generators[part[2]]()).rstrip() + "\n" + part[3], page
    )


def signals() -> Iterator[str]:
    """The signals between a PLC and the station, as Markdown lines."""
    from dmdd_edge.runtime.station.plc.signals import COMMANDS, STATUS

    for title, kind, listed in (
        ("PLC to station: commands", "HR", COMMANDS),
        ("Station to PLC: status", "IR", STATUS),
    ):
        yield f"**{title}**\n"
        yield "| signal | size | register | meaning |"
        yield "|---|---|---|---|"
        for signal in listed:
            place = f"{kind} {signal.register}"
            if signal.bit is not None:
                place += f", bit {signal.bit}"
            elif signal.registers == 2:
                place += f" and {signal.register + 1}"
            yield f"| `{signal.name}` | {signal.kind} | {place} | {signal.help} |"
        yield ""


def error_codes() -> Iterator[str]:
    """The error codes with the comments of their declaration, as Markdown lines."""
    from dmdd_edge.runtime.station.model import ErrorCode

    yield "| code | name | meaning |"
    yield "|---|---|---|"
    for meaning, name, number in CODE.findall(inspect.getsource(ErrorCode)):
        yield f"| {number} | `{name}` | {' '.join(meaning.replace('#:', '').split())} |"


def station_keys() -> Iterator[str]:
    """Every table of a station file with its keys, as Markdown lines."""
    from dmdd_edge.runtime.station.file.reference import reference

    for table in reference():
        yield f"### {table.heading}\n"
        yield f"{table.title}.\n"
        yield "| key | meaning | value | default |"
        yield "|---|---|---|---|"
        for key in table.keys:
            cells = (f"`{key.name}`", key.help, key.value, key.default)
            yield "| " + " | ".join(cell.replace("|", "\\|").replace("<", "&lt;") for cell in cells) + " |"
        yield ""


def names(listed: list[str]) -> Iterator[str]:
    """A table of public names with the first line of their docstrings, as Markdown lines."""
    import dmdd_edge

    yield "| name | what it is |"
    yield "|---|---|"
    for name in listed:
        first = (getattr(dmdd_edge, name).__doc__ or "").strip().split("\n\n")[0]
        text = " ".join(first.split()).replace("``", "`").replace("|", "\\|")
        yield f"| `{name}` | {text} |"


def commands() -> Iterator[str]:
    """Every command with its arguments and options, as Markdown lines."""
    from typer.main import get_command

    from dmdd_edge.cli.main import app

    for name, command in sorted(getattr(get_command(app), "commands", {}).items()):
        if not command.hidden:
            yield from described(f"dmdd-edge {name}", command, 2)


def described(name: str, command: Any, level: int) -> Iterator[str]:
    """One command and, below it, its own commands."""
    yield f"{'#' * level} {name}\n"
    yield f"{(command.help or '').strip()}\n"
    groups: dict[str, list[Any]] = {}
    for parameter in command.params:
        if getattr(parameter, "hidden", False) or parameter.name in ("help", "_ctx"):
            continue
        panel = getattr(parameter, "rich_help_panel", None)
        default = "Arguments" if parameter.param_type_name == "argument" else "Options"
        groups.setdefault(panel or default, []).append(parameter)
    for title, parameters in groups.items():
        yield f"**{title}**\n"
        yield "| name | meaning | default |"
        yield "|---|---|---|"
        yield from map(row, parameters)
        yield ""
    for inner_name, inner in sorted(getattr(command, "commands", {}).items()):
        if not inner.hidden:
            yield from described(f"{name} {inner_name}", inner, level + 1)


def row(parameter: Any) -> str:
    """One argument or option as a table row."""
    if parameter.param_type_name == "argument":
        shown = f"`{(parameter.metavar or parameter.name).strip('{}').upper()}`"
    else:
        shown = ", ".join(f"`{option}`" for option in (*parameter.opts, *parameter.secondary_opts))
    default = parameter.default
    if parameter.required:
        value = "required"
    elif default is None or default is False or default == () or default == []:
        value = ""
    else:
        value = "on" if default is True else f"`{default}`"
    text = (getattr(parameter, "help", None) or "").replace("|", "\\|").replace("<", "&lt;")
    return f"| {shown} | {text} | {value} |"


if __name__ == "__main__":
    main()
