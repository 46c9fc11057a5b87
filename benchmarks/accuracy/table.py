"""Results as Markdown: rows of a set next to the paper's, means over seeds or categories, parts of a row."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import common

from accuracy.declaration import Experiment
from accuracy.rows import Row
from dmdd_edge.evaluation.metrics import PAPER_FIGURES

_HEAD = ["experiment", "category", "steps", "seed"]


def set_table(name: str, experiments: Sequence[Experiment], rows: Mapping[str, Row]) -> str:
    """Table of a set's experiments that have a row, in declared order, with the mean per label.

    Args:
        name: name of the set, for the heading.
        experiments: the set.
        rows: rows by key, as from ``rows.latest``.
    """
    with_paper = any(experiment.paper for experiment in experiments)
    columns = [
        *_HEAD,
        *(f"val {shown}" for shown, _ in PAPER_FIGURES),
        *(f"test {shown}" for shown, _ in PAPER_FIGURES),
        *(f"sum {shown}" for shown, _ in PAPER_FIGURES[1:]),
        *(f"paper {shown}" for shown, _ in PAPER_FIGURES if with_paper),
        "train min",
        "commit",
    ]
    lines = []
    for label, group in _by_label(experiments).items():
        done = [(experiment, rows[experiment.key]) for experiment in group if experiment.key in rows]
        for experiment, row in done:
            head = [label, experiment.category, str(row["steps"]), str(experiment.seed)]
            tail = [f"{row['train_seconds'] / 60:.1f}", str(row["commit"])]
            lines.append([*head, *map(_percent, _values(row)), *_paper(experiment, with_paper), *tail])
        if len(done) > 1:
            lines.append(_mean(label, done, with_paper))
    missing = sum(experiment.key not in rows for experiment in experiments)
    note = f"\n{missing} of {len(experiments)} are not measured yet.\n" if missing else ""
    return f"### {name}\n\n{common.markdown_table(columns, lines, left=2)}{note}"


def parts_table(row: Row) -> str:
    """Table of one row: each kind of validation damage, each defect type of the test images, both heads."""
    lines = []
    for where, key in (("validation", "kinds"), ("test", "per_defect")):
        if row[where] is None:
            continue
        heads = row[where]
        for part in heads["head"][key]:
            values = [heads[head][key][part][figure] for head in heads for _, figure in PAPER_FIGURES]
            count = heads["head"][key][part]["images"]
            lines.append([where, part, str(count), *map(_percent, values)])
        values = [heads[head][figure] for head in heads for _, figure in PAPER_FIGURES]
        lines.append([where, "mean" if where == "validation" else "all", "", *map(_percent, values)])
    columns = [
        "",
        "part",
        "images",
        *(f"{head} {shown}" for head in ("head", "sum") for shown, _ in PAPER_FIGURES),
    ]
    return f"### {row['name']}\n\n{common.markdown_table(columns, lines, left=2)}"


def _values(row: Row) -> list[float | None]:
    """Validation and test with the run's head, then test's pixel figures with the sum."""
    values: list[float | None] = []
    for where, head, figures in (
        ("validation", "head", PAPER_FIGURES),
        ("test", "head", PAPER_FIGURES),
        ("test", "sum", PAPER_FIGURES[1:]),
    ):
        values += [None if row[where] is None else row[where][head][figure] for _, figure in figures]
    return values


def _mean(label: str, done: Sequence[tuple[Experiment, Row]], with_paper: bool) -> list[str]:
    """Mean of some rows; over seeds of one category with the smallest and largest."""
    categories = list(dict.fromkeys(experiment.category for experiment, _ in done))
    cells = []
    for values in zip(*(_values(row) for _, row in done), strict=True):
        known = [value for value in values if value is not None]
        if len(known) < len(done):
            cells.append("")
            continue
        mean = f"**{_percent(sum(known) / len(known))}**"
        spread = f" ({_percent(min(known))} to {_percent(max(known))})" if len(categories) == 1 else ""
        cells.append(mean + spread)
    what = f"mean of {len(done)}"
    minutes = f"{sum(row['train_seconds'] for _, row in done) / 60 / len(done):.1f}"
    head = [f"**{label}**", what if len(categories) == 1 else f"{what} categories", "", ""]
    return [*head, *cells, *_paper(done[0][0], with_paper), minutes, ""]


def _by_label(experiments: Iterable[Experiment]) -> dict[str, list[Experiment]]:
    groups: dict[str, list[Experiment]] = {}
    for experiment in experiments:
        groups.setdefault(experiment.label or experiment.name, []).append(experiment)
    return groups


def _paper(experiment: Experiment, shown: bool) -> list[str]:
    if not shown:
        return []
    return [f"{value:.2f}" for value in experiment.paper] if experiment.paper else [""] * len(PAPER_FIGURES)


def _percent(ratio: Any) -> str:
    return "" if ratio is None else f"{100 * ratio:.2f}"
