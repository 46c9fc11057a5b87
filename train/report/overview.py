"""Several runs side by side: one row each, the mean of the rows, and the runs that failed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from dmdd_edge.evaluation.paper import PaperRow, paper_row_beside
from dmdd_edge.train.report.rendering import render
from dmdd_edge.train.report.words import percent

#: The figures that the paper has too.
COLUMNS = (("I-AUROC", "image_auroc"), ("P-AUROC", "pixel_auroc"), ("PRO", "pro"))
#: Figures that the mean is taken of.
MEANS = ("image_auroc", "pixel_auroc", "pro", "pro_per_image", "image_ap", "pixel_ap", "image_f1_max")


@dataclass
class Overview:
    """The figures of several runs.

    Attributes:
        rows: by the run's name: the content of metrics.json.
        failed: by the run's name: why it could not be evaluated.
    """

    rows: dict[str, Mapping[str, Any]] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)

    def mean(self) -> dict[str, float | None]:
        """Each figure's mean over the rows; None where a row lacks it, since it is then not comparable."""
        return {name: _mean([row[name] for row in self.rows.values()]) for name in MEANS}

    def paper(self, run: str) -> PaperRow | None:
        """The paper's row for the category of a run."""
        return paper_row_beside(self.rows[run])

    def paper_mean(self) -> dict[str, float | None]:
        """The mean of the paper's rows for the same runs; None unless the paper has each of them."""
        rows = [self.paper(run) for run in self.rows]
        return {
            name: _mean([None if row is None else getattr(row, name) for row in rows]) for _, name in COLUMNS
        }

    def as_dict(self) -> dict[str, Any]:
        """For ``--json``."""
        return {
            "rows": [{"run": run, **row} for run, row in self.rows.items()],
            "mean": self.mean(),
            "paper_mean": self.paper_mean(),
            "failed": [{"run": run, "reason": reason} for run, reason in self.failed.items()],
        }

    def cells(self) -> tuple[list[str], list[list[str]]]:
        """Head and rows of a table in percent, the mean last when there are several rows."""
        head = ["run", "category", *(shown for shown, _ in COLUMNS)]
        head += [f"paper {shown}" for shown, _ in COLUMNS] + ["minutes"]
        rows = []
        for run, row in self.rows.items():
            paper = self.paper(run)
            beside = [None if paper is None else getattr(paper, name) for _, name in COLUMNS]
            figures = [percent(row[name]) for _, name in COLUMNS]
            minutes = f"{row['train_seconds'] / 60:.1f}"
            rows.append([run, str(row["category"]), *figures, *map(percent, beside), minutes])
        if len(rows) > 1:
            mean, paper_mean = self.mean(), self.paper_mean()
            figures = [percent(means[name]) for means in (mean, paper_mean) for _, name in COLUMNS]
            rows.append([f"mean of {len(rows)}", "", *figures, ""])
        return head, rows


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known and len(known) == len(values) else None


def overview_page(overview: Overview, pages: Mapping[str, str], created: str) -> str:
    """The page that lists several runs.

    Args:
        overview: what was measured.
        pages: by the run's name: its page's file name, to be linked to.
        created: date and time.
    """
    head, rows = overview.cells()
    values = {
        "title": "Runs",
        "head": head,
        "rows": rows,
        "pages": pages,
        "failed": overview.failed,
        "created": created,
    }
    return render("overview.html", values)
