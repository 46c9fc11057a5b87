"""Checks of arguments from Python callers: a wrong type is an ``OptionError`` that names the argument."""

from __future__ import annotations

import numbers
import os
from pathlib import Path
from typing import Any

from dmdd_edge.errors import OptionError

#: Most bytes of a path that Linux takes, and of one name in it.
_LONGEST_PATH, _LONGEST_NAME = 4095, 255


class ArgumentError(OptionError, TypeError):
    """An argument has a type that it cannot have; also a ``TypeError``."""


def wrong_type(name: str, value: object, expected: str, fix: str = "") -> ArgumentError:
    """The error of an argument whose type does not fit.

    >>> wrong_type("limit", "7", "a whole number or None").message
    "limit is '7', a str; it must be a whole number or None."
    """
    if value is None:
        return ArgumentError(f"{name} is None; it must be {expected}.", fix)
    if isinstance(value, type):
        return ArgumentError(f"{name} is the class {value.__name__}; it must be {expected}.", fix)
    kind = type(value).__name__
    short = isinstance(value, (str, bytes, int, float)) and len(repr(value)) <= 60
    article = "an" if kind[:1].lower() in "aeiou" else "a"
    text = f"{value!r}, {article} {kind}" if short else f"{article} {kind}"
    return ArgumentError(f"{name} is {text}; it must be {expected}.", fix)


def check_instance(name: str, value: object, kinds: type | tuple[type, ...], expected: str) -> None:
    """Check that an argument is of a class.

    Raises:
        ArgumentError: it is not.
    """
    if not isinstance(value, kinds):
        raise wrong_type(name, value, expected)


def check_callable(name: str, value: object) -> None:
    """Check that an argument can be called.

    Raises:
        ArgumentError: it cannot.
    """
    if not callable(value):
        raise wrong_type(name, value, "a function", "Pass the function itself, without parentheses.")


def checked_path(name: str, value: Any) -> Path:
    """An argument as a path.

    Raises:
        OptionError: it is neither text nor a path, or no file can have this name.
    """
    if not isinstance(value, (str, os.PathLike)) or not isinstance(text := os.fspath(value), str):
        raise wrong_type(name, value, "a path: a str or a pathlib.Path")
    if not text:
        raise OptionError(f"{name} is an empty text; it must be a path.", "Name a file or a folder.")
    if "\0" in text:
        raise OptionError(f"{name} is {text!r}; a path cannot contain a NUL character.", "Check the path.")
    data = text.encode("utf-8", "surrogatepass")
    if len(data) > _LONGEST_PATH or any(len(part) > _LONGEST_NAME for part in data.split(b"/")):
        raise OptionError(
            f"{name} begins with {text[:40]!r} and has {len(data)} bytes, too many for a path.",
            f"A name has at most {_LONGEST_NAME} bytes, a path {_LONGEST_PATH}.",
        )
    return Path(text)


def checked_number(name: str, value: Any, low: float, high: float, fix: str = "") -> float:
    """An argument as a number in a range, both ends included.

    Raises:
        OptionError: it is not a number, or outside the range.
    """
    if isinstance(value, bool) or not isinstance(value, numbers.Real):
        raise wrong_type(name, value, f"a number in {low:g}..{high:g}", fix)
    number = float(value)
    if not low <= number <= high:
        raise OptionError(f"{name} is {value}; it must be in {low:g}..{high:g}.", fix)
    return number


def check_count(name: str, value: Any, minimum: int) -> None:
    """Check that an argument is None or a whole number of at least ``minimum``.

    Raises:
        OptionError: it is not.
    """
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, numbers.Integral):
        raise wrong_type(name, value, "a whole number or None")
    if value < minimum:
        raise OptionError(f"{name} is {value}; it must be at least {minimum}.")


def check_progress(value: object, kind: type) -> None:
    """Check a ``progress`` argument: None, a function or an instance of ``kind``.

    Raises:
        ArgumentError: it is none of these.
    """
    if value is not None and not isinstance(value, kind) and (isinstance(value, type) or not callable(value)):
        raise wrong_type("progress", value, f"a function, a {kind.__name__} or None")
