"""Tables of INT8: what each precision costs, and the curve of loss against share."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from common import RESULTS, markdown_table

_FIGURES = ("image_auroc", "pixel_auroc", "pro")


def _documents() -> dict[str, dict[str, Any]]:
    files = sorted((RESULTS / "int8").glob("*.json"))
    return {file.stem: json.loads(file.read_text(encoding="utf-8")) for file in files}


def int8_rows() -> str:
    """Each graph on each set of images."""
    lines = [
        [
            category,
            row["graph"],
            row["images"],
            f"{row['good']} + {row['bad']}",
            *(f"{100 * row[f'{name}_itself']:.2f}" for name in _FIGURES),
            f"{row['rank']:.3f}",
            f"{100 * row['false_alarms']:.1f}",
            f"{100 * row['share']:.0f}",
        ]
        for category, document in _documents().items()
        for row in document["rows"]
    ]
    columns = ["category", "graph", "images", "good + bad", "I-AUROC", "P-AUROC", "PRO"]
    columns += ["rank correlation", "false alarms %", "INT8 %"]
    return markdown_table(columns, lines, left=4)


def int8_curve() -> str:
    """The loss against the share of INT8: what the choice measured, in its order, then the rest."""
    lines = [
        [
            category,
            f"{point['half']} of {document['ours']['places']}",
            f"{100 * point['share']:.0f}",
            *(f"{100 * point[name]:+.2f}" for name in _FIGURES),
            f"{point['rank']:.4f}",
            "yes" if point["holds"] else "no",
        ]
        for category, document in _documents().items()
        for point in document["curve"]["points"]
    ]
    columns = ["category", "places in half", "INT8 %", "I-AUROC", "P-AUROC", "PRO", "rank correlation"]
    return markdown_table([*columns, "half the limits hold"], lines, left=1)


INT8: dict[str, Callable[[], str]] = {"int8": int8_rows, "int8-curve": int8_curve}
