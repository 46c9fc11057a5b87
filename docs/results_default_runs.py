"""Tables of the default command's runs, and of other maps from the same networks."""

from __future__ import annotations

from typing import Any

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
    runs = result("other_maps")["figures"]["runs"]
    names = dict.fromkeys(name for run in runs for name in run["rows"])
    lines = [[name, *(_other_map(run["rows"].get(name)) for run in runs)] for name in names]
    return markdown_table(["map", *(run["category"] for run in runs)], lines, left=1)


def _other_map(row: dict[str, Any] | None) -> str:
    """Errors on synthetic damage, then P-AUROC and PRO of the test images."""
    if row is None:
        return ""
    errors = (f"{100 * row[key]:.2f}" for key in ("error", "foreign_error"))
    return "; ".join([", ".join(errors), ", ".join(percent(row["test"][name] for name in FIGURES[1:]))])


def thresholds() -> str:
    """Promised and observed false-alarm rates, with the default share held out."""
    rows = [row for name in ("thresholds_screw", "thresholds") for row in result(name)["figures"]["rows"]]
    lines: dict[tuple[str, int], list[str]] = {}
    for row in rows:
        if row["share"] is None:
            counts = [str(row[name]) for name in ("unseen", "good_images", "held_out")]
            rates = percent(row[name] for name in ("promised", "mean", "worst_tenth"))
            lines.setdefault((row["category"], row["good_images"]), [row["category"], *counts, *rates])
    columns = [
        "set",
        "unseen images",
        "good images",
        "held out",
        "promised %",
        "mean %",
        "worst tenth above %",
    ]
    return markdown_table(columns, lines.values(), left=1)
