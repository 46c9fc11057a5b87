"""Tables of the feedback loop: a threshold from an archive's sample and reviewed alarms."""

from __future__ import annotations

from collections.abc import Callable

from common import markdown_table
from results_files import result


def feedback() -> str:
    """The feedback loop on images that the line has not seen."""
    lines = []
    for category, found in result("upkeep_feedback")["figures"]["loop"].items():
        for alpha in ("0.01", "0.05"):
            row = found[alpha]
            lines.append(
                [
                    category,
                    f"{100 * float(alpha):g}",
                    f"{row['parts']:.0f}",
                    f"{row['alarms']:.1f}",
                    f"{found['old']:.3f}",
                    f"{row['threshold']:.3f}",
                    f"{100 * row['before']:.1f}",
                    f"{100 * row['after']:.2f} ± {200 * row['after_error']:.2f}",
                    f"{100 * row['found_before']:.1f}",
                    f"{100 * row['found_after']:.1f}",
                ]
            )
    columns = [
        "set",
        "rate %",
        "good parts",
        "false alarms",
        "threshold before",
        "after",
        "false alarms before %",
        "after %",
        "found before %",
        "after %",
    ]
    return markdown_table(columns, lines, left=1)


def feedback_drawn() -> str:
    """The promise against drawn scores."""
    lines = [
        [
            row["what"],
            f"{100 * row['alpha']:g}",
            f"{100 * row['mean']:.3f} ± {200 * row['error']:.3f}",
            f"{100 * row['within']:.1f}",
            f"{row['archives']:,}",
        ]
        for row in result("upkeep_feedback")["figures"]["drawn"]
    ]
    columns = ["line", "rate %", "true rate, mean %", "in the stated range %", "archives"]
    return markdown_table(columns, lines, left=1)


FEEDBACK: dict[str, Callable[[], str]] = {"feedback": feedback, "feedback-drawn": feedback_drawn}
