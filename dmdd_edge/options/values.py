"""Values of options as their types, and texts that no option accepts."""

from __future__ import annotations

import os
import re
import shlex
import types
from pathlib import Path
from typing import Any, Literal, Union, get_args, get_origin

from dmdd_edge.errors import OptionError
from dmdd_edge.messages.suggest import choose
from dmdd_edge.options.toml_text import shown

#: No path, address or name is longer; Linux limits paths to 4095 bytes.
LONGEST = 4096
#: The second form is what is left of an address after something took it for a path.
_ADDRESS = re.compile(r"(?i)[a-z][a-z0-9+.-]*://|(?:rtsps?|rtmp|https?|mqtts?|wss?|ftp|file):/")
_SWITCH = {
    **dict.fromkeys(("1", "true", "yes", "on"), True),
    **dict.fromkeys(("0", "false", "no", "off"), False),
}
_WORDS = {bool: "true or false", int: "a whole number", float: "a number", str: "a text", Path: "a path"}


class _UnfitError(Exception):
    """A value is not of a type."""


class _TooLargeError(Exception):
    """A number has more than 64 bits."""


def convert(value: Any, hint: Any, name: str, example: str = "", given: Any = None) -> Any:
    """A value as a type, where nothing is lost: a text as a path, a whole number as a float.

    Args:
        value: what is converted.
        hint: bool, int, float, str, Path, a ``Literal``, a tuple of these, or a union of all that with None.
        name: of the option, for the message.
        example: of a value, as TOML, for the message.
        given: what the value was read from, where only a text like the example is documented.

    Raises:
        OptionError: it is of another type.
    """
    try:
        return _convert(value, hint)
    except _TooLargeError:
        raise OptionError(f"{name} is out of range.", "Give a smaller number.") from None
    except _UnfitError:
        pass
    allowed = literals(hint)
    if allowed and isinstance(value, str):
        raise OptionError(f"{name} {value!r} is unknown.", choose(value, allowed))
    if given is not None:
        raise OptionError(
            f"{name} is {shown(given)}; it must be like {example}.", f"Write a value like {example}."
        )
    wanted, such = describe(hint), f", such as {example}" if example else ""
    raise OptionError(f"{name} is {shown(value)}; it must be {wanted}.", f"Give {wanted}{such}.")


def from_text(text: str, hint: Any, parsed: bool) -> Any:
    """A text of an environment variable as a value that ``convert`` accepts, if it can be one.

    Args:
        text: a list's items have blanks between, and quotes around what contains blanks.
        hint: as of ``convert``.
        parsed: whether the option reads texts itself.
    """
    parts = members(hint)
    # What reads texts itself reads one as a whole tuple of a fixed length, such as 640x480.
    tuples = [part for part in parts if get_origin(part) is tuple and (not parsed or any_length(part))]
    if tuples:
        try:
            items = shlex.split(text)
        except ValueError:
            return text
        return [from_text(single, get_args(tuples[0])[0], parsed) for single in items]
    if parsed:
        return text
    for part, read in ((bool, _SWITCH.get), (int, int), (float, float)):
        if part in parts:
            try:
                value = read(text.strip().lower())
            except ValueError:
                continue
            if value is not None:
                return value
    return text


def members(hint: Any) -> tuple[Any, ...]:
    """The types that a union allows besides None; of another type, itself."""
    parts = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    return tuple(part for part in parts if part is not type(None))


def any_length(hint: Any) -> bool:
    """Whether a type is a tuple of any length."""
    return get_origin(hint) is tuple and get_args(hint)[1:] == (Ellipsis,)


def literals(hint: Any) -> tuple[Any, ...]:
    """The values that the literals of a type allow; empty for a type without any."""
    return tuple(value for part in members(hint) if get_origin(part) is Literal for value in get_args(part))


def describe(hint: Any) -> str:
    """A type in words, such as "a whole number"."""
    words = []
    for part in members(hint):
        if get_origin(part) is Literal:
            words.append("one of " + ", ".join(map(str, get_args(part))))
        elif get_origin(part) is tuple:
            words.append("a list" if any_length(part) else f"a list of {len(get_args(part))}")
        else:
            words.append(_WORDS.get(part, getattr(part, "__name__", str(part))))
    return " or ".join(words)


def text_problem(text: str, is_path: bool) -> str:
    """What no option accepts in a text, to follow the option's name; empty for a text without a problem.

    Args:
        text: of a name, an address or a path.
        is_path: whether it must be a path on this machine.
    """
    if "\0" in text:
        return "contains a NUL byte"
    if len(text) > LONGEST:
        return f"has {len(text)} characters; at most {LONGEST} are allowed"
    if is_path and not text:
        return "is empty"
    if is_path and _ADDRESS.match(text):
        return "must be a path on this machine, not an address"
    return ""


def _bounded(value: Any) -> Any:
    if isinstance(value, int) and not -(2**63) <= value < 2**63:  # the range of TOML and of every library
        raise _TooLargeError
    return value


def _convert(value: Any, hint: Any) -> Any:
    if get_origin(hint) in (Union, types.UnionType):
        if value is None and type(None) in get_args(hint):
            return None
        for part in members(hint):
            try:
                return _convert(value, part)
            except _UnfitError:
                continue
    elif get_origin(hint) is tuple:
        parts = get_args(hint)
        if isinstance(value, (list, tuple)) and any_length(hint):
            return tuple(_convert(item, parts[0]) for item in value)
        if isinstance(value, (list, tuple)) and len(parts) == len(value):
            return tuple(map(_convert, value, parts))
    elif get_origin(hint) is Literal:
        if any(value == item and type(value) is type(item) for item in get_args(hint)):
            return value
    elif hint is Any or not isinstance(hint, type):
        return value  # not a type that an option has
    elif isinstance(value, hint) and not (isinstance(value, bool) and hint is not bool):
        return _bounded(value)
    elif hint in (int, float) and not isinstance(value, (bool, str)):
        # numpy's numbers, too
        if hasattr(value, "__index__") or (hint is float and hasattr(value, "__float__")):
            return hint(_bounded(value))
    elif hint is Path and isinstance(value, (str, os.PathLike)):
        return Path(value)
    raise _UnfitError
