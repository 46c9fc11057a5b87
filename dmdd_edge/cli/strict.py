"""What every option of every command refuses: numbers that are none, texts that cannot name anything.

Addresses where a path belongs are among these, and options that nothing on the command line gives a meaning.

Both the program and a test that calls the app get it, since it is a property of the commands themselves.
"""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable, Iterable
from typing import Any

import typer
from typer.core import TyperGroup

from dmdd_edge.cli.unexpected import without_secrets

#: No path, address or name is longer; Linux takes paths of at most 4095 bytes.
LONGEST = 4096
#: The second form is what is left of an address once something took it for a path.
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://|(?:rtsps?|rtmp|https?|mqtts?|wss?|ftp|file):/")


class StrictGroup(TyperGroup):
    """A group whose commands refuse NaN, infinity, NUL bytes and over-long texts, and quote no secret."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of a name, its options made strict."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            tighten(command)
        return command

    def invoke(self, ctx: Any) -> Any:
        """Run a command; a usage error that quotes an argument shows no password."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            usage: Any = error
            if hasattr(usage, "format_message") and isinstance(getattr(usage, "message", None), str):
                usage.message = without_secrets(usage.message, sys.argv[1:])
            raise


def tighten(command: Any) -> None:
    """Make the options of a command, and of those below it, strict; twice does no harm."""
    for parameter in command.params:
        if not getattr(parameter, "strict", False):
            parameter.process_value = _checked(parameter, parameter.process_value)
            parameter.strict = True
    for inner in getattr(command, "commands", {}).values():
        tighten(inner)


def _checked(parameter: Any, process: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``process``, a parameter's own conversion, between a look at what was given and at what came of it."""

    is_path = _takes_path(parameter)

    def checked(ctx: Any, value: Any) -> Any:
        for text in _each(value):
            if isinstance(text, str) and (problem := _problem(text, is_path)):
                raise typer.BadParameter(problem, ctx=ctx, param=parameter)
        found = process(ctx, value)
        for number in _each(found):
            if isinstance(number, float) and not math.isfinite(number):
                raise typer.BadParameter(f"{number} is not a finite number.", ctx=ctx, param=parameter)
        return found

    return checked


def _takes_path(parameter: Any) -> bool:
    """Whether a parameter is a path, in whatever way this version of typer keeps it."""
    annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    return "Path" in str(annotation) or getattr(getattr(parameter, "type", None), "name", "") == "path"


def _each(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)


def _problem(text: str, is_path: bool) -> str:
    if "\0" in text:
        return "A NUL byte cannot be part of a path, a name or an address."
    if len(text) > LONGEST:
        return f"The value has {len(text)} characters; at most {LONGEST} are allowed."
    if is_path and _ADDRESS.match(text):
        return "An address cannot name a file or a folder here. Give a path on this machine."
    return ""
