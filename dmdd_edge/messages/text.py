"""Text from elsewhere (a bundle, a file name, a library) on its way to a person or a file name."""

from __future__ import annotations

import unicodedata

#: Characters that turn the direction of the text around them: what is shown is not what is there.
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

#: Control characters, halves of surrogate pairs, and separators of lines and paragraphs.
_UNFIT = frozenset({"Cc", "Cs", "Zl", "Zp"})

#: The longest name of a category or version, in bytes: files are named after it, and names end at 255.
LONGEST_NAME = 200


def unfit_character(text: str) -> str | None:
    """The first character that may not reach a terminal, a log, a page or a file name; None without one."""
    if text.isascii() and text.isprintable():
        return None
    return next((char for char in text if unicodedata.category(char) in _UNFIT or char in _TURNING), None)


def visible(text: str, keep: str = "") -> str:
    """``text`` with every unfit character written as an escape, such as ``\\x1b``.

    Args:
        keep: characters that stay, such as a line break.
    """
    if unfit_character(text) is None:
        return text
    return "".join(_escaped(char) if char not in keep and unfit_character(char) else char for char in text)


def is_plain_name(name: str) -> bool:
    """Whether ``name`` can name a single folder: one part, not hidden, printable, at most 200 bytes."""
    return (
        bool(name)
        and not name.startswith(".")
        and name == name.strip()
        and not any(char in name for char in "/\\")
        and unfit_character(name) is None
        and len(name.encode()) <= LONGEST_NAME
    )


def _escaped(char: str) -> str:
    return char.encode("unicode_escape").decode("ascii")
