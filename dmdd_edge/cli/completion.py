"""What the shell offers for the value of an option."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from dmdd_edge.options.model import OptionField
from dmdd_edge.options.values import literals

#: The most names of a folder that are read: a completion must answer at once.
_MOST = 1000


def completion(field: OptionField, fields: Sequence[OptionField]) -> Callable[..., list[str]] | None:
    """What completes a value; None where nothing is known of it.

    Args:
        field: the option.
        fields: all options of its command.
    """
    if field.option.folders_of:
        folders = [other for other in fields if other.name in field.option.folders_of]
        return lambda ctx, incomplete: _matching(_categories(ctx, folders), incomplete)
    values = field.option.choices or literals(field.type)
    if values:
        return lambda incomplete: _matching(values, incomplete)
    if field.option.suggested:
        return lambda incomplete: _in_list(field.option.suggested, incomplete)
    return None


def _matching(values: Iterable[str], incomplete: str) -> list[str]:
    return [value for value in values if value.startswith(incomplete)]


def _in_list(values: Sequence[str], incomplete: str) -> list[str]:
    """Values with commas between: what is complete stays, and is not offered again."""
    before, comma, last = incomplete.rpartition(",")
    done = before.split(",")
    return [before + comma + value for value in _matching(values, last) if value not in done]


def _categories(context: typer.Context, folders: Iterable[OptionField]) -> list[str]:
    """The names of the folders that may be categories."""
    names: set[str] = set()
    for field in folders:
        parent: Any = context.params.get(field.name) or field.default
        if isinstance(parent, (str, Path)):
            with suppress(OSError):
                names |= {path.name for path in islice(Path(parent).iterdir(), _MOST) if path.is_dir()}
    return sorted(name for name in names if not name.startswith("."))
