"""How the report writes numbers and text: ratios in percent to two places, everything else escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from typing import Any


def percent(ratio: float | None) -> str:
    """A ratio of 0..1 in percent, as the command line prints it; a dash where it is undefined."""
    return "–" if ratio is None else f"{100 * ratio:.2f}"


def clean(value: Any) -> str:
    """Anything as text that is safe between tags and in quoted attributes."""
    return escape(str(value), quote=True)


def table(head: Sequence[str], rows: Iterable[Sequence[Any]], kind: str = "", strong: int = 0) -> str:
    """A table of plain values, every cell escaped; the first column is text, the others numbers.

    Args:
        head: names of the columns.
        rows: the cells.
        kind: class of the table.
        strong: so many of the first rows stand out.
    """
    cells = "".join(f'<th scope="col">{clean(name)}</th>' for name in head)
    body = []
    for number, (first, *others) in enumerate(rows):
        line = f'<th scope="row">{clean(first)}</th>' + "".join(f"<td>{clean(cell)}</td>" for cell in others)
        body.append(f'<tr class="strong">{line}</tr>' if number < strong else f"<tr>{line}</tr>")
    named = f' class="{clean(kind)}"' if kind else ""
    return (
        f'<div class="scroll"><table{named}><thead><tr>{cells}</tr></thead>'
        f"<tbody>{''.join(body)}</tbody></table></div>"
    )


def facts(pairs: Iterable[tuple[str, Any]]) -> str:
    """Names and values as a list of definitions."""
    return (
        '<dl class="facts">'
        + "".join(f"<div><dt>{clean(name)}</dt><dd>{clean(value)}</dd></div>" for name, value in pairs)
        + "</dl>"
    )


def flattened(values: dict[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Nested settings as dotted names, in order."""
    pairs: list[tuple[str, Any]] = []
    for name, value in values.items():
        if isinstance(value, dict) and value:
            pairs += flattened(value, f"{prefix}{name}.")
        else:
            pairs.append((f"{prefix}{name}", "–" if value is None else value))
    return pairs
