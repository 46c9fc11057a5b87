"""What the commands share when they print: one console, errors, the next command."""

from __future__ import annotations

import json
import logging
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import Any

from rich.console import Console
from rich.text import Text

from dmdd_edge.cli.streams import write_output
from dmdd_edge.messages.text import visible

#: Characters in a line where standard error is not a terminal.
LOG_COLUMNS = 140


class _Console(Console):
    """Prints text as it is: without markup, emoji codes and control characters."""

    def render_str(self, text: str, **options: Any) -> Text:
        return super().render_str(visible(text, keep="\n\t"), **options)


#: Everything for a person goes to standard error, so that standard output stays machine-readable.
#: A log has no width; there, tables get enough room to be complete.
console = _Console(
    stderr=True,
    markup=False,
    emoji=False,
    highlight=False,
    soft_wrap=True,
    width=None if sys.stderr is not None and sys.stderr.isatty() else LOG_COLUMNS,
)


class _Lines(logging.Handler):
    """Passes what is logged on as lines."""

    def __init__(self, receive: Callable[[str], object]) -> None:
        super().__init__()
        self._receive = receive

    def emit(self, record: logging.LogRecord) -> None:
        self._receive(record.getMessage())


def hear_copies(receive: Callable[[str], object] | None) -> None:
    """Pass on the lines about images that are copied from a store, and about runs that are fetched or sent.

    Args:
        receive: called with each line, instead of whoever was before; None drops them.
    """
    for name in ("dmdd_edge.data.datasets.copies", "dmdd_edge.run_store.runs"):
        log = logging.getLogger(name)
        log.handlers[:] = [] if receive is None else [_Lines(receive)]
        log.setLevel(logging.WARNING if receive is None else logging.INFO)


def complain(message: str, fix: str = "") -> None:
    """Write an error and its fix to standard error; never raises, also when that cannot be written.

    Args:
        message: what is wrong.
        fix: what to do about it; may be empty.
    """
    lines = f"error: {message}\n" + (f"fix:   {fix}\n" if fix else "")
    with suppress(Exception):
        sys.stderr.write(visible(lines, keep="\n\t"))
        sys.stderr.flush()


def next_step(command: str) -> None:
    """Print the command that a user would run next, as the last line of a command."""
    console.print(f"next: {command}")


def print_json(value: Any) -> None:
    """Write one JSON document to standard output, in ASCII.

    Raises:
        DmddError: standard output is closed, or cannot be written.
    """
    write_output(json.dumps(value, indent=2, allow_nan=False) + "\n")
