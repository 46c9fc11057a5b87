"""What a data model refuses, in words of this program instead of those of its library."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Kinds of errors of pydantic; braces name what the error says about the bound.
_WORDS = {
    "greater_than_equal": "must be at least {ge}",
    "greater_than": "must be greater than {gt}",
    "less_than_equal": "must be at most {le}",
    "less_than": "must be less than {lt}",
    "literal_error": "must be {expected}",
    "enum": "must be {expected}",
    "missing": "is missing",
    "extra_forbidden": "is unknown",
    "finite_number": "must be a finite number",
    "too_short": "must have at least {min_length} entries",
    "too_long": "must have at most {max_length} entries",
    "string_too_short": "must have at least {min_length} characters",
    "string_too_long": "must have at most {max_length} characters",
}
#: The same by the part of the kind before its first underscore.
_TYPES = {
    "int": "must be a whole number",
    "float": "must be a number",
    "bool": "must be true or false",
    "string": "must be a text",
    "path": "must be a path",
    "list": "must be a list",
    "tuple": "must be a list",
    "dict": "must be an object",
    "model": "must be an object",
}


def in_words(problem: Mapping[str, Any]) -> str:
    """What is wrong with a field, as one entry of ``ValidationError.errors()``, as a predicate.

    >>> in_words({"type": "greater_than_equal", "ctx": {"ge": 1}, "msg": "Input should be ..."})
    'must be at least 1'
    """
    kind, facts = problem["type"], problem.get("ctx", {})
    words = _WORDS.get(kind) or _TYPES.get(kind.split("_")[0])
    if words is None:
        return f"is invalid: {problem['msg'].removeprefix('Value error, ')}"
    return words.format_map(facts)
