"""Values of options as TOML writes them: for configuration files and for messages."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from dmdd_edge.messages.addresses import redacted

#: Characters of a value that a message shows.
_LONGEST = 200


def toml(value: Any) -> str:
    """A value as TOML, without passwords; what TOML does not know is written as its text."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, (int, float)):
        return repr(value)
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(toml, value))}]"
    if isinstance(value, Mapping):
        return f"{{{', '.join(f'{key} = {toml(item)}' for key, item in value.items())}}}"
    if hasattr(value, "isoformat"):  # TOML's dates and times
        return str(value)
    # JSON's escapes are TOML's, but for the delete character, which JSON leaves as it is.
    return json.dumps(redacted(str(value)), ensure_ascii=False).replace("\x7f", "\\u007f")


def shown(value: Any) -> str:
    """A value as TOML for a message, which does not quote a long one whole."""
    text = toml(value)
    return text if len(text) <= _LONGEST else text[:_LONGEST] + "..."


def is_toml(text: str) -> bool:
    """Whether TOML can hold a text: not half of a surrogate pair, as in a name that is not UTF-8."""
    return text.isascii() or not any("\ud800" <= char <= "\udfff" for char in text)
