"""Options that several commands share, spelled the same everywhere."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from dmdd_edge.cli.streams import require_output
from dmdd_edge.options import Option, Options


def _needs_output(requested: bool) -> None:
    """Before any work is done for results that nobody could get."""
    if requested:
        require_output()


@dataclass(frozen=True, kw_only=True)
class JsonOutput(Options):
    """Whether the result is written for a program."""

    json: Annotated[bool, Option("Machine-readable output on standard output.", check=_needs_output)] = False


@dataclass(frozen=True, kw_only=True)
class QuietOutput(Options):
    """How much a command says."""

    quiet: Annotated[bool, Option("Print only errors and the result, no progress.", short="-q")] = False
