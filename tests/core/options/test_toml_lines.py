"""The lines of a TOML document, counted by hand, and for every value that the parser finds."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
import tomllib

from dmdd_edge.options.toml_lines import Route, lines_of, too_deep

DOCUMENT = '''\
# a comment with = and [brackets]
title = "a # is no comment" # but this is
"quoted key" = 1

text = """
[not.a.table]
key = 'no key'
ends with two quotes"""""
[cameras.top] # heading
source = '/dev/video0'
size = [
  640, # width
  480,
]
[cameras."a.b"]
dotted.key = 1
dotted.other = {x = 1, "y z" = [1, {q = 2}], when = 1979-05-27 07:32:00}
[[recipes]]
number = 1
[recipes.extra]
deep = true
[[recipes]]
inspections = ["a",
"b"]
[[recipes.steps]]
s = 1
[[recipes.steps]]
s = \'\'\'
[[recipes]]\'\'\'
'''

EXPECTED: dict[Route, int] = {
    ("title",): 2,
    ("quoted key",): 3,
    ("text",): 5,
    ("cameras",): 9,
    ("cameras", "top"): 9,
    ("cameras", "top", "source"): 10,
    ("cameras", "top", "size"): 11,
    ("cameras", "top", "size", 0): 12,
    ("cameras", "top", "size", 1): 13,
    ("cameras", "a.b"): 15,
    ("cameras", "a.b", "dotted"): 16,
    ("cameras", "a.b", "dotted", "key"): 16,
    ("cameras", "a.b", "dotted", "other"): 17,
    ("cameras", "a.b", "dotted", "other", "x"): 17,
    ("cameras", "a.b", "dotted", "other", "y z"): 17,
    ("cameras", "a.b", "dotted", "other", "y z", 0): 17,
    ("cameras", "a.b", "dotted", "other", "y z", 1): 17,
    ("cameras", "a.b", "dotted", "other", "y z", 1, "q"): 17,
    ("cameras", "a.b", "dotted", "other", "when"): 17,
    ("recipes",): 18,
    ("recipes", 0): 18,
    ("recipes", 0, "number"): 19,
    ("recipes", 0, "extra"): 20,
    ("recipes", 0, "extra", "deep"): 21,
    ("recipes", 1): 22,
    ("recipes", 1, "inspections"): 23,
    ("recipes", 1, "inspections", 0): 23,
    ("recipes", 1, "inspections", 1): 24,
    ("recipes", 1, "steps"): 25,
    ("recipes", 1, "steps", 0): 25,
    ("recipes", 1, "steps", 0, "s"): 26,
    ("recipes", 1, "steps", 1): 27,
    ("recipes", 1, "steps", 1, "s"): 28,
}


def routes(value: Any, route: Route = ()) -> Iterator[Route]:
    """Every table, key and item below a value."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield (*route, key)
        yield from routes(inner, (*route, key))


def test_each_table_key_and_item_has_its_line() -> None:
    assert lines_of(DOCUMENT, tomllib.loads) == EXPECTED


@pytest.mark.parametrize(
    "text",
    [
        "",
        "\n\n# only a comment",
        "a=1\nb =[ ]\nc={ }\nd = [[1,2],[ ],\n[{e=[3]}]]\n",
        '[ a . \'b c\' ]\nx."y\\u0041" = "\\"]"\n',
        "a = '''\n''''\nb = \"\"\"\\\"\"\"\"\nc = ''\nd = \"\"\n",
        "[[a]]\n[[a.b]]\nc=1\n[a.b.d]\n[[a.b]]\n[[a]]\n[[a.b]]\ne=[1,]\n",
        "[a.b.c]\nx=1\n[a]\ny=2\n[a.b]\nz=-1.5e3\n",
    ],
)
def test_whatever_the_parser_finds_has_a_line(text: str) -> None:
    assert set(lines_of(text, tomllib.loads)) == set(routes(tomllib.loads(text)))


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a = 1\n" + ".".join(["a"] * 21) + " = 1\n", 2),
        ("a = 1\n\n[" + " . ".join(['"b.c"', "'d'"] * 11) + "]\n", 3),
        ("a = {" + ".".join(["a"] * 3000) + " = 1}\n", 1),
        ("a" + ".a" * 400_000 + " = 1\n", 1),
        ("[" + ".".join(["a"] * 20) + "]\n" + ".".join(["b"] * 20) + " = 1.5\n", None),
        ("a = '" + "a." * 30 + "'\nb = \"" + "a." * 30 + '"\n# ' + "a." * 30 + "a\n", None),
        ('a = """\n' + "a." * 30 + 'a\n"""\n', None),
        ("a = '''\n" + "a." * 30 + "a'''\n", None),
        ("a = " + '\\"' * 100_000, None),
    ],
    ids=range(9),
)
def test_a_key_with_many_names_is_found_before_the_parser_meets_it(text: str, line: int | None) -> None:
    assert too_deep(text) == line
