"""Tables of the default command's runs, and of other maps from the same networks."""

from __future__ import annotations

from typing import Any

from common import markdown_table
from results_files import FIGURES, percent, result

from dmdd_edge.evaluation.paper import paper_row


def defaults() -> str:
    """What the default command reaches."""
    lines = []
    for run in result("default_runs")["figures"]["runs"]:
        counts, steps = f"{run['trained']}, {run['held_out']}", str(run["steps"])
        judged = run["at_threshold"]
        found = f"{judged['found']} of {judged['defective']}"
        rejected = f"{judged['false_alarms']} of {judged['good']}"
        lines.append(
            [run["category"], counts, steps, *percent(run[name] for name in FIGURES), found, rejected]
        )
    columns = ["set", "trained, held out", "steps", "I-AUROC", "P-AUROC", "PRO", "found", "good rejected"]
    return markdown_table(columns, lines, left=1)


def readme_default() -> str:
    """The same of the two categories that the paper has too, with the paper's figures."""
    runs = {run["category"]: run for run in result("default_runs")["figures"]["runs"]}
    lines = []
    for name in ("screw", "bottle"):
        run, paper = runs[name], paper_row(name)
        minutes = f"{run['train_minutes']:.0f} min on one core"
        lines.append([name, *percent(run[figure] for figure in FIGURES), minutes])
        lines.append(
            ["the paper, Wide-ResNet50-2", *percent(getattr(paper, figure) for figure in FIGURES), ""]
        )
    return markdown_table(["default command", "I-AUROC", "P-AUROC", "PRO", "training"], lines, left=1)


def defects() -> str:
    """The same runs by defect type."""
    lines = [
        [run["category"], defect, str(found["images"]), *percent(found[name] for name in FIGURES)]
        for run in result("default_runs")["figures"]["runs"]
        for defect, found in run["per_defect"].items()
    ]
    return markdown_table(["set", "defect", "images", "I-AUROC", "P-AUROC", "PRO"], lines, left=2)


def nuisances() -> str:
    """False alarms and finds under each nuisance, of our models and anomalib's."""
    runs = result("nuisances")["figures"]["runs"]
    return _under(runs, "under", [_of_model(run) for run in runs])


def own_nuisances() -> str:
    """The same of our models at the thresholds that their own held-out images set."""
    runs = [run for run in result("nuisances")["figures"]["runs"] if "under_own" in run]
    return _under(runs, "under_own", [run["category"] for run in runs])


def _under(runs: list[dict[str, Any]], where: str, columns: list[str]) -> str:
    lines = []
    for name in runs[0][where]:
        found = [run[where][name] for run in runs]
        cells = [f"{100 * shares['false_alarms']:.0f}; {100 * shares['found']:.0f}" for shares in found]
        lines.append(["unchanged" if name == "clean" else name, *cells])
    return markdown_table(["change", *columns], lines, left=1)


def _of_model(run: dict[str, Any]) -> str:
    options = "" if run.get("equal_brightness", True) else ", --brightness off"
    if run.get("nuisances"):
        options += f", --nuisances {run['nuisances']:g}"
    return f"{run['category']}: {run['model']}{options}"


def thresholds() -> str:
    """Promised and observed false-alarm rates, with the default share held out."""
    rows = result("thresholds")["figures"]["rows"]
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
