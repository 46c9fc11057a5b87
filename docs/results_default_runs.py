"""Tables of the default command's runs, and of other maps from the same networks."""

from __future__ import annotations

from common import markdown_table
from results_files import FIGURES, percent, result


def defaults() -> str:
    """What the default command reaches."""
    lines = []
    for run in result("default_runs")["figures"]["runs"]:
        counts, steps = f"{run['trained']}, {run['held_out']}", str(run["steps"])
        lines.append([run["category"], counts, steps, *percent(run[name] for name in FIGURES)])
    return markdown_table(["set", "trained, held out", "steps", "I-AUROC", "P-AUROC", "PRO"], lines, left=1)


def defects() -> str:
    """The same runs by defect type."""
    lines = [
        [run["category"], defect, str(found["images"]), *percent(found[name] for name in FIGURES)]
        for run in result("default_runs")["figures"]["runs"]
        for defect, found in run["per_defect"].items()
    ]
    return markdown_table(["set", "defect", "images", "I-AUROC", "P-AUROC", "PRO"], lines, left=2)


def other_maps() -> str:
    """Other maps from the networks of finished runs, on synthetic damage and on the test images."""
    lines = []
    for run in result("other_maps")["figures"]["runs"]:
        for name, row in run["rows"].items():
            errors = [f"{100 * row[key]:.2f}" for key in ("error", "foreign_error")]
            test = percent(row["test"][figure] for figure in FIGURES)
            lines.append([run["category"], name, *errors, *test])
    columns = ["set", "map", "error", "of foreign kinds", "I-AUROC", "P-AUROC", "PRO"]
    return markdown_table(columns, lines, left=2)
