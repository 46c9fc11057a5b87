"""What the commands share in talking to a person: one console, progress bars, the next command to run."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

#: Characters in a line where standard error is not a terminal.
LOG_COLUMNS = 140
#: Everything for a person goes to standard error, so that standard output stays machine-readable.
#: A log has no width of its own: there tables get room enough to be whole.
console = Console(
    stderr=True, highlight=False, soft_wrap=True, width=None if sys.stderr.isatty() else LOG_COLUMNS
)


def progress() -> Progress:
    """A progress bar on standard error; draws nothing when that is not a terminal."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.completed}/{task.total}"),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )


def next_step(command: str) -> None:
    """Print the command that a user would run next, as the last line."""
    console.print(f"next: {command}", markup=False)


def print_json(value: Any) -> None:
    """Write one JSON document to standard output."""
    sys.stdout.write(json.dumps(value, indent=2, allow_nan=False) + "\n")
    sys.stdout.flush()
