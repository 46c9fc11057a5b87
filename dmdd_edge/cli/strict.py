"""Values that every option refuses: NaN and infinity, NUL bytes, addresses in place of paths.

The commands themselves have these checks, so they apply to the program and to a test that calls the app.
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
from dmdd_edge.messages.suggest import choose
from dmdd_edge.options.values import text_problem


class StrictGroup(TyperGroup):
    """A group whose commands refuse NaN, infinity, NUL bytes and over-long texts, and quote no secret."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Look up a command, and make its options strict."""
        command = super().get_command(ctx, cmd_name)
        if command is not None:
            tighten(command)
            _bare_help(command, ctx)
        return command

    def get_params(self, ctx: Any) -> Any:
        """The options of the program itself, all of which are switches."""
        return [_without_value(option) for option in super().get_params(ctx)]

    def invoke(self, ctx: Any) -> Any:
        """Run a command; hide passwords in a usage error that quotes an argument."""
        try:
            return super().invoke(ctx)
        except Exception as error:
            usage: Any = error
            if hasattr(usage, "format_message") and isinstance(getattr(usage, "message", None), str):
                usage.message = without_secrets(usage.message, sys.argv[1:])
            raise


def _bare_help(command: Any, ctx: Any) -> None:
    """Show no value for ``--help`` of a command and its sub-commands."""
    _without_value(command.get_help_option(ctx))
    for inner in getattr(command, "commands", {}).values():
        _bare_help(inner, ctx)


def _without_value(option: Any) -> Any:
    if option is not None:
        option.metavar = ""
    return option


def tighten(command: Any) -> None:
    """Make the options of a command and its sub-commands strict; a second call changes nothing."""
    for parameter in command.params:
        if not getattr(parameter, "strict", False):
            parameter.process_value = _checked(parameter, parameter.process_value)
            parameter.strict = True
    for inner in getattr(command, "commands", {}).values():
        tighten(inner)


def _checked(parameter: Any, process: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """``process``, a parameter's own conversion, with a check of its input and of its result."""

    is_path = _takes_path(parameter)

    def checked(ctx: Any, value: Any) -> Any:
        for text in _each(value):
            if isinstance(text, str) and (problem := text_problem(text, is_path)):
                raise typer.BadParameter(f"The value {problem}.", ctx=ctx, param=parameter)
        try:
            converted = process(ctx, value)
        except typer.BadParameter as error:
            error.message = plain(error.message, value)
            raise
        for number in _each(converted):
            if isinstance(number, float) and not math.isfinite(number):
                raise typer.BadParameter(f"{number} is not a finite number.", ctx=ctx, param=parameter)
        return converted

    return checked


#: What the libraries say of a value, by pattern, and the same in plain words.
_REWORDED = (
    (r"valid integer", "{value} is not a whole number."),
    (r"valid number|valid float", "{value} is not a number."),
    (r"(?:greater than or equal to|x>=)\s*(-?[\d.]*\d)", "{value} is too small: at least {0}."),
    (r"(?:less than or equal to|x<=)\s*(-?[\d.]*\d)", "{value} is too large: at most {0}."),
)


def plain(message: str, value: Any) -> str:
    """A library's message about a value, in plain words and with what was probably meant.

    Args:
        message: of typer or of what it calls.
        value: that was given; of several values, the message names the wrong one or none.
    """
    given = repr(value) if isinstance(value, str) else "The value"
    if wrong := re.search(r"'([^']*)' is not one of (.+?)\.?$", message):
        known = re.findall(r"'([^']*)'", wrong[2])
        return f"{wrong[1]!r} is unknown. {choose(wrong[1], known)}"
    for pattern, words in _REWORDED:
        if fits := re.search(pattern, message):
            return words.format(*fits.groups(), value=given)
    return message.removeprefix("Value error, ")


def _takes_path(parameter: Any) -> bool:
    """Whether a parameter is a path; versions of typer store that differently."""
    annotation = getattr(getattr(parameter, "type_descriptor", None), "annotation", None)
    return "Path" in str(annotation) or getattr(getattr(parameter, "type", None), "name", "") == "path"


def _each(value: Any) -> Iterable[Any]:
    return value if isinstance(value, (list, tuple)) else (value,)
