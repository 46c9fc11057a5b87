"""Tables of figures, the same in every command."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.table import Table

from dmdd_edge.cli.console import console
from dmdd_edge.evaluation.decisions import result_lines
from dmdd_edge.evaluation.metrics import FIGURES
from dmdd_edge.evaluation.paper import paper_row_beside


def print_result(metrics: Mapping[str, Any]) -> None:
    """Print a result: first what is found and rejected at the threshold, then the table of figures.

    Args:
        metrics: the content of metrics.json.
    """
    for number, line in enumerate(result_lines(metrics)):
        console.print(line, markup=False, style="bold" if number == 0 else None)
    console.print(metrics_table(metrics))


def print_damage(metrics: Mapping[str, Any], run: Path) -> None:
    """Print the figures of a run without test images, on synthetic damage.

    Args:
        metrics: the content of made_damage.json.
        run: the folder of the run.
    """
    from dmdd_edge.train.made_damage import damage_lines

    for line in damage_lines(metrics, run):
        console.print(line, markup=False)


def metrics_table(metrics: Mapping[str, Any]) -> Table:
    """A category's figures in percent, by defect type, with the paper's row where there is one.

    Args:
        metrics: the content of metrics.json.
    """
    size = f"{metrics['image_size']} px"
    steps = "" if metrics["steps"] is None else f", {metrics['steps']} steps"
    title = f"{metrics['category']}: {metrics['backbone']}, {size}{steps}, %"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for shown, _ in FIGURES:
        table.add_column(shown, justify="right")
    table.add_row("all", *(_percent(metrics[key]) for _, key in FIGURES), style="bold")
    for defect, values in metrics["per_defect"].items():
        table.add_row(f"{defect} ({values['images']})", *(_percent(values.get(key)) for _, key in FIGURES))
    row = paper_row_beside(metrics)
    if row is not None:
        paper = {"image_auroc": row.image_auroc, "pixel_auroc": row.pixel_auroc, "pro": row.pro}
        table.add_row(
            "the paper, Wide-ResNet50-2", *(_percent(paper.get(key)) for _, key in FIGURES), style="dim"
        )
    return table


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{100 * ratio:.2f}"
