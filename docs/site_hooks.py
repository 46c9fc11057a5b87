"""MkDocs hook: when the site is built, fill in the command line reference and the included examples."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

COMMANDS = "<!-- commands -->"
EXAMPLE = re.compile(r"<!-- example: ([\w.]+) -->")
EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Replace the markers of a page."""
    if COMMANDS in markdown:
        markdown = markdown.replace(COMMANDS, "\n".join(reference()))
    return EXAMPLE.sub(lambda match: example(match[1]), markdown)


def example(name: str) -> str:
    """An example as a code block."""
    return f"```python\n{(EXAMPLES / name).read_text(encoding='utf-8')}```"


def reference() -> Iterator[str]:
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
