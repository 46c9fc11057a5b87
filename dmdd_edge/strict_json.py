"""JSON from elsewhere: bounded in depth and number of values, without what a second reader takes otherwise.

Python's reader alone would take a key twice (the last one counts), NaN, and numbers of a million digits, and
ends in a RecursionError where lists nest deeply.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from dmdd_edge.messages.text import unfit_character, visible
from dmdd_edge.messages.validation import in_words

Model = TypeVar("Model", bound=BaseModel)

#: How deep lists and objects may nest, how many values there may be, and how many digits an integer may have.
DEEPEST, MOST_VALUES, MOST_DIGITS = 32, 400_000, 18

#: Everything but what opens, closes and separates values.
_NO_STRUCTURE = bytes(set(range(256)) - set(b"[]{},"))
#: How much of a text from a file is repeated in a message.
_SHOWN = 80


class NotStrict(ValueError):  # noqa: N818 - it names what the text is
    """The text is not JSON as it is expected here; the message says where and why."""


def parse_object(
    data: bytes, *, finite: bool = True, plain: bool = True, most_values: int = MOST_VALUES
) -> dict[str, Any]:
    """Read one JSON object.

    Args:
        data: UTF-8.
        finite: refuse NaN and infinities.
        plain: refuse control characters in texts.
        most_values: how many values it may hold.

    Raises:
        NotStrict: it is not one, is malformed, too deep or too large, gives a key twice, or holds a number or
            a character that is not accepted; names the field.
    """
    _bound(data, most_values)
    try:
        value = json.loads(
            data.decode("utf-8"), object_pairs_hook=_without_twins, parse_int=_integer, parse_constant=float
        )
    except UnicodeDecodeError as error:
        raise NotStrict(f"not UTF-8 text (byte {error.start})") from None
    except json.JSONDecodeError as error:
        raise NotStrict(f"not valid JSON (line {error.lineno}: {error.msg})") from None
    if not isinstance(value, dict):
        raise NotStrict("not a JSON object")
    _look_through(value, (), finite, plain)
    return value


def validate(model: type[Model], value: dict[str, Any]) -> Model:
    """Make a model of a parsed object, with strict types: no text for a number, no boolean for an integer.

    Raises:
        NotStrict: a field is missing or wrong; names the field.
    """
    try:
        # Through JSON once more, since only there a list may stand for a tuple under strict types.
        return model.model_validate_json(json.dumps(value), strict=True)
    except ValidationError as error:
        raise NotStrict(explain(error)) from None


def explain(error: ValidationError) -> str:
    """The first thing that a model refuses, as ``field `threshold.image` must be ...``."""
    first = error.errors(include_url=False, include_input=False)[0]
    where = [str(part) for part in first["loc"] if part != "[key]"]
    return f"field `{_path(where)}` {in_words(first)}" if where else f"it {in_words(first)}"


def _bound(data: bytes, most_values: int) -> None:
    """Refuse what nests too deep or holds too much, before anything is built of it."""
    # Without escaped characters every second quote ends a text: every second part is outside.
    outside = b"".join(data.replace(b"\\\\", b"").replace(b'\\"', b"").split(b'"')[::2])
    structure = outside.translate(None, _NO_STRUCTURE)
    if 1 + structure.count(b",") + structure.count(b"[") + structure.count(b"{") > most_values:
        raise NotStrict(f"more than {most_values:,} values")
    depth = 0
    for char in structure:
        depth += (char in b"[{") - (char in b"]}")
        if depth > DEEPEST:
            raise NotStrict(f"nested more than {DEEPEST} levels deep")


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        twin = next(key for key, _ in pairs if key in seen or seen.add(key))  # type: ignore[func-returns-value]
        raise NotStrict(f"field `{_path([twin])}` is given twice")
    return found


def _integer(text: str) -> int:
    if len(text.lstrip("-")) > MOST_DIGITS:
        raise NotStrict(f"an integer of {len(text.lstrip('-')):,} digits; at most {MOST_DIGITS} are accepted")
    return int(text)


def _look_through(value: Any, where: tuple[str, ...], finite: bool, plain: bool) -> None:
    """Refuse text that may not reach a terminal, and numbers that are not finite; the depth is bounded."""
    if isinstance(value, str):
        unfit = unfit_character(value) if plain else None
        if unfit is not None:
            raise NotStrict(f"field `{_path(where)}` holds the character {visible(unfit)}")
    elif isinstance(value, float):
        if finite and not math.isfinite(value):
            raise NotStrict(f"field `{_path(where)}` is {value}, not a finite number")
    elif isinstance(value, list):
        for index, item in enumerate(value):
            _look_through(item, (*where, str(index)), finite, plain)
    elif isinstance(value, dict):
        for key, item in value.items():
            unfit = unfit_character(key) if plain else None
            if unfit is not None:
                name = _path((*where, key))
                raise NotStrict(f"field `{name}` has the character {visible(unfit)} in its name")
            _look_through(item, (*where, key), finite, plain)


def _path(where: Sequence[str]) -> str:
    path = visible(".".join(where))
    return path if len(path) <= _SHOWN else path[:_SHOWN] + "..."
