"""Results as tables: for the screen and as Markdown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import common

from dmdd_edge.evaluation.metrics import PAPER_FIELDS

COLUMNS = (
    "model",
    "I-AUROC",
    "P-AUROC",
    "PRO",
    "published P-AUROC",
    "p50 ms",
    "p90 ms",
    "times as long (95 %)",
    "memory MiB",
    "file MB",
    "training min",
)
#: Shown when accuracy cannot be measured.
NOT_MEASURED = "n/a (no pretrained weights)"
_GAP = "  "


def rows(figures: Mapping[str, Any]) -> list[list[str]]:
    """One category's rows: dmdd-edge first, then the peers by latency.

    Args:
        figures: ``own``, ``peers``.
    """
    peers = sorted(figures["peers"].values(), key=lambda row: float(row["ratio"]))
    return [_row(figures["own"]), *(_row(row) for row in peers)]


def _row(row: Mapping[str, Any]) -> list[str]:
    accuracy = row["accuracy"]
    measured = (
        [NOT_MEASURED, "", ""] if accuracy is None else [_percent(accuracy[name]) for name in PAPER_FIELDS]
    )
    budget = f", {row['epochs']} epochs" if row.get("epochs", 1) > 1 else ""
    training = row["train_seconds"]
    return [
        f"{row['shown']}{budget}",
        *measured,
        _percent(row["published_pixel_auroc"], 1),
        _number(row["latency_ms"]["p50"], 2),
        _number(row["latency_ms"]["p90"], 2),
        _ratio(row),
        _number(row["peak_resident_mib"], 0),
        _number(row["file_bytes"] / 1e6, 1),
        "" if training is None else _number(training / 60, 1),
    ]


def _ratio(row: Mapping[str, Any]) -> str:
    if row.get("ratio") is None:
        return "1"
    mark = " (unreliable)" if row["not_reliable_because"] else ""
    return f"{row['ratio']:.2f} ({row['low']:.2f} to {row['high']:.2f}){mark}"


def markdown(category: str, figures: Mapping[str, Any]) -> str:
    """A category's table as Markdown, with a heading."""
    return f"### {category}\n\n{common.markdown_table(COLUMNS, rows(figures), left=1)}{_not_made(figures)}"


def plain(category: str, figures: Mapping[str, Any]) -> str:
    """A category's table for the screen."""
    lines: Sequence[Sequence[str]] = [[category, *COLUMNS[1:]], *rows(figures)]
    widths = [max(len(line[index]) for line in lines) for index in range(len(COLUMNS))]
    # The placeholder for accuracy spans the empty cells next to it.
    widths[1] = max(len(line[1]) for line in lines if line[1] != NOT_MEASURED)
    widths[3] += max(0, len(NOT_MEASURED) - (sum(widths[1:4]) + 2 * len(_GAP)))
    return "".join(_laid_out(line, widths) for line in lines) + _not_made(figures)


def _laid_out(line: Sequence[str], widths: Sequence[int]) -> str:
    if line[1] == NOT_MEASURED:
        span = sum(widths[1:4]) + 2 * len(_GAP)
        cells = [line[0].ljust(widths[0]), NOT_MEASURED.rjust(span)]
        rest: Iterable[tuple[str, int]] = zip(line[4:], widths[4:], strict=True)
    else:
        cells = [line[0].ljust(widths[0])]
        rest = zip(line[1:], widths[1:], strict=True)
    return _GAP.join([*cells, *(cell.rjust(width) for cell, width in rest)]).rstrip() + "\n"


def _not_made(figures: Mapping[str, Any]) -> str:
    return "".join(f"\nNot measured: {name}: {why}\n" for name, why in figures["not_measured"].items())


def _percent(ratio: float | None, places: int = 2) -> str:
    return "" if ratio is None else f"{100 * ratio:.{places}f}"


def _number(value: float | None, places: int) -> str:
    return "n/a" if value is None else f"{value:.{places}f}"
