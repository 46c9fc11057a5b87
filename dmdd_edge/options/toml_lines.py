"""The line of each table, key and item of a TOML document, for messages; Python's parser keeps none."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any

#: Where a value is in a document: the keys that lead to it, and an index for each list on the way.
Route = tuple[str | int, ...]

_BETWEEN = re.compile(r"(?:[ \t\n]|#[^\n]*)*")
_BLANK = re.compile(r"[ \t]*")
_BARE_KEY = re.compile(r"[A-Za-z0-9_-]+")
# One with three quotes may end with five, of which the first two belong to the text.
_STRING = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'",
    re.DOTALL,
)
_PLAIN_VALUE = re.compile(r"[^,\]}#\n]*")
#: The most names in one key with dots: a parser needs the square of their number, or more.
DEEPEST = 20
_NAME = r"""(?:[A-Za-z0-9_-]+|"(?:\\.|[^"\\\n])*"?|'[^'\n]*'?)"""
# What may have dots without being a key comes first. An end that is missing does not make the search start
# over, so a text that is not TOML is as fast.
_DOTTED = re.compile(
    r'"""(?:\\.|[^\\])*?(?:"{3,5}|\Z)'
    r"|'''.*?(?:'{3,5}|\Z)"
    r"|#[^\n]*"
    rf"|(?P<key>{_NAME}(?:[ \t]*\.[ \t]*{_NAME})*)",
    re.DOTALL,
)


def too_deep(text: str) -> int | None:
    """The line of the first key with more than ``DEEPEST`` names, counted from 1; None without one.

    Args:
        text: any, with ``\\n`` between lines; it need not be a document.
    """
    for found in _DOTTED.finditer(text):
        key = found["key"]
        if key and key.count(".") >= DEEPEST and len(re.findall(_NAME, key)) > DEEPEST:
            return text.count("\n", 0, found.start()) + 1
    return None


def lines_of(text: str, parse: Callable[[str], Mapping[str, Any]]) -> dict[Route, int]:
    """The line of each table, key and item, counted from 1; of a table in several places the first.

    Args:
        text: a document that ``parse`` accepts, with ``\\n`` between lines.
        parse: the parser, which also reads quoted keys.
    """
    scanner = _Scanner(text, parse)
    with suppress(RecursionError):  # nested more deeply than any file for this; what was found is kept
        scanner.document()
    return scanner.found


class _Scanner:
    """Walks over a document that is known to be TOML."""

    def __init__(self, text: str, parse: Callable[[str], Mapping[str, Any]]) -> None:
        self._text, self._parse = text, parse
        self._at = 0
        self._line, self._counted = 1, 0
        self.found: dict[Route, int] = {}
        #: How many tables each list of tables has so far.
        self._tables: dict[Route, int] = {}

    def document(self) -> None:
        """Find every line."""
        table: Route = ()
        self._skip(_BETWEEN)
        while self._at < len(self._text):
            if self._text.startswith("[[", self._at):
                self._at += 2
                route = self._route((), self._key())
                number = self._tables[route] = self._tables.get(route, 0) + 1
                table = (*route, number - 1)
                self._at = self._text.index("]]", self._at) + 2
                self._note(table)
            elif self._text[self._at] == "[":
                self._at += 1
                table = self._route((), self._key())
                table = self._inside(table)
                self._at = self._text.index("]", self._at) + 1
                self._note(table)
            else:
                self._assignment(table)
            self._skip(_BETWEEN)

    def _assignment(self, table: Route) -> None:
        route = self._route(table, self._key())
        self._at = self._text.index("=", self._at) + 1
        self._skip(_BLANK)
        self._value(route)

    def _value(self, route: Route) -> None:
        self._note(route)
        first = self._text[self._at : self._at + 1]
        if first in ('"', "'") and first:
            self._skip(_STRING)
        elif first == "[":
            self._at += 1
            number = 0
            while not self._ends("]"):
                self._value((*route, number))
                number += 1
        elif first == "{":
            self._at += 1
            while not self._ends("}"):
                self._assignment(route)
        else:
            self._skip(_PLAIN_VALUE)

    def _ends(self, bracket: str) -> bool:
        """Step to the next item of a list or an inline table, or over its end."""
        self._skip(_BETWEEN)
        if self._text[self._at : self._at + 1] == ",":
            self._at += 1
            self._skip(_BETWEEN)
        if self._text[self._at : self._at + 1] in (bracket, ""):
            self._at += 1
            return True
        return False

    def _key(self) -> list[str]:
        """The parts of a key; ends behind the last one."""
        parts = []
        while True:
            self._skip(_BLANK)
            if quoted := _STRING.match(self._text, self._at):
                parts.append(next(iter(self._parse(f"{quoted[0]} = 0"))))
                self._at = quoted.end()
            else:
                start = self._at
                self._skip(_BARE_KEY)
                parts.append(self._text[start : self._at])
            self._skip(_BLANK)
            if self._text[self._at : self._at + 1] != ".":
                return parts
            self._at += 1

    def _route(self, table: Route, parts: list[str]) -> Route:
        """Where a key of a table leads; the tables on the way are noted."""
        route = table
        for part in parts[:-1]:
            route = self._inside((*route, part))
            self._note(route)
        return (*route, parts[-1])

    def _inside(self, route: Route) -> Route:
        """The last table of a list of tables; of anything else itself."""
        count = self._tables.get(route)
        return route if count is None else (*route, count - 1)

    def _note(self, route: Route) -> None:
        self._line += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        for length in range(1, len(route) + 1):
            self.found.setdefault(route[:length], self._line)

    def _skip(self, pattern: re.Pattern[str]) -> None:
        found = pattern.match(self._text, self._at)
        if found:
            self._at = found.end()
