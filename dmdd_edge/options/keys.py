"""Options as keys of a TOML file: their names, former names, checks, and what a mistyped one meant."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from typing import Any

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.commands import spelled
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.options.model import OptionField, checked, option_fields

#: Other names of keys, as words that a person may try.
_OTHER_NAMES = {"dir": "folder", "roi": "region", "bundle": "model", "device": "source", "address": "host"}


def key_of(field: OptionField) -> str:
    """An option's name in a file: that of the command line with ``_`` for ``-``."""
    return field.name if field.option.argument else unspelled(field.spelling)


def unspelled(spelling: str) -> str:
    """The inverse of ``spelled``: ``--camera-fps`` is ``camera_fps``."""
    return spelling.lstrip("-").replace("-", "_")


def keys_of(models: Iterable[type[Any]]) -> set[str]:
    """The keys of models, with their former names."""
    fields = [field for model in models for field in option_fields(model)]
    former = {unspelled(spelling) for field in fields for spelling in field.option.earlier}
    return former | {key_of(field) for field in fields}


def renamed(
    fields: Iterable[OptionField], written: str, value: Any, say: Callable[[str], object]
) -> OptionField | None:
    """The option that had another name before, with one warning."""
    for field in fields:
        if spelled(written) in field.option.earlier:
            if field.option.check_earlier is not None:
                field.option.check_earlier(str(value))
            say(f"{written} is now {key_of(field)}; the old name will be removed.")
            return field
    return None


def checked_key(field: OptionField, value: Any, place: str) -> Any:
    """A value after the checks of its option; the message names where it is from.

    Raises:
        OptionError: the option refuses it.
    """
    try:
        return checked(field, value, key_of(field))
    except OptionError as error:
        error.message = f"{place}: {error.message}"
        raise


def similar(written: str, known: Collection[str]) -> str:
    """The fix for an unknown key that is close to a known one; empty when none is."""
    key = written.replace("-", "_")
    positive = key.removeprefix("no_")
    if key != positive and positive in known:
        return f"Write {positive} = false."
    if _OTHER_NAMES.get(key) in known:
        return f"Write {_OTHER_NAMES[key]}."
    return did_you_mean(key, known)
