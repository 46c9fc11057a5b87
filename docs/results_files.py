"""The result files of benchmarks/results, and their figures as tables show them."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[1]
RESULTS = ROOT / "benchmarks" / "results"
sys.path.insert(0, str(ROOT / "benchmarks"))

from accuracy.declaration import Experiment  # noqa: E402
from accuracy.rows import latest, read_rows  # noqa: E402

Row = dict[str, Any]

FIGURES = ("image_auroc", "pixel_auroc", "pro")


@cache
def result(name: str) -> dict[str, Any]:
    """A result file."""
    document: dict[str, Any] = json.loads((RESULTS / f"{name}.json").read_text(encoding="utf-8"))
    return document


@cache
def study() -> dict[str, Row]:
    """The accuracy study's newest row of each experiment, by key."""
    return latest(read_rows(RESULTS / "accuracy.jsonl"))


def percent(values: Iterable[float | None]) -> list[str]:
    """Ratios as percent."""
    return ["" if value is None else f"{100 * value:.2f}" for value in values]


def measured(experiment: Experiment, where: str = "test", head: str = "head") -> list[str]:
    """An experiment's I-AUROC, P-AUROC and PRO in percent."""
    figures = study()[experiment.key][where][head]
    return percent(figures[name] for name in FIGURES)


def both(experiment: Experiment) -> list[str]:
    """P-AUROC and PRO on validation and on the test images."""
    return [", ".join(measured(experiment, where)[1:]) for where in ("validation", "test")]


def named(rows: Sequence[Experiment]) -> dict[str, Experiment]:
    """Experiments by their label."""
    return {experiment.label: experiment for experiment in rows}
