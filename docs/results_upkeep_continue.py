"""Tables of a continued training: what it costs and what it changes."""

from __future__ import annotations

from typing import Any

from common import markdown_table
from results_files import FIGURES, percent, result

_NAMES = {
    "start": "the run before",
    "continued": "continued with 50 more",
    "from_start": "from the start on all",
}


def continued() -> str:
    """A run, the same continued with more images, and a training of all images from the start."""
    lines = []
    for name, shown in _NAMES.items():
        row = result("continue_training")["figures"]["runs"][name]
        lines.append(
            [
                shown,
                f"{row['train']} + {row['holdout']}",
                str(row["steps"]),
                f"{row['cpu_seconds'] / 60:.1f}",
                *percent(row[figure] for figure in FIGURES),
                *_decisions(row["at_threshold"]),
            ]
        )
    columns = ["bottle", "trained + held out", "steps", "CPU minutes", "I-AUROC", "P-AUROC", "PRO"]
    return markdown_table([*columns, "found", "false alarms"], lines, left=1)


def _decisions(row: dict[str, Any]) -> list[str]:
    return [f"{row['found']} of {row['defective']}", f"{row['false_alarms']} of {row['good']}"]
