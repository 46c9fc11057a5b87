"""Tables of figures, drawn the same by every command."""

from __future__ import annotations

from typing import Any

from rich.table import Table

from dmdd_edge.paper import paper_row

_COLUMNS = (
    ("I-AUROC", "image_auroc"),
    ("P-AUROC", "pixel_auroc"),
    ("PRO", "pro"),
    ("PRO per image", "pro_per_image"),
    ("I-AP", "image_ap"),
    ("P-AP", "pixel_ap"),
    ("I-F1max", "image_f1_max"),
)


def metrics_table(metrics: dict[str, Any]) -> Table:
    """A category's figures in percent, by defect type, with the paper's row where there is one.

    Args:
        metrics: the content of metrics.json.
    """
    size, steps = metrics["image_size"], metrics["steps"]
    title = f"{metrics['category']}: {metrics['backbone']}, {size} px, {steps} steps, %"
    table = Table(title=title, title_justify="left")
    table.add_column("")
    for shown, _ in _COLUMNS:
        table.add_column(shown, justify="right")
    table.add_row("all", *(_percent(metrics[key]) for _, key in _COLUMNS), style="bold")
    for defect, values in metrics["per_defect"].items():
        table.add_row(f"{defect} ({values['images']})", *(_percent(values.get(key)) for _, key in _COLUMNS))
    row = paper_row(metrics["category"])
    if row is not None:
        paper = {"image_auroc": row.image_auroc, "pixel_auroc": row.pixel_auroc, "pro": row.pro}
        table.add_row(
            "the paper, Wide-ResNet50-2", *(_percent(paper.get(key)) for _, key in _COLUMNS), style="dim"
        )
    return table


def _percent(ratio: float | None) -> str:
    return "" if ratio is None else f"{100 * ratio:.2f}"
