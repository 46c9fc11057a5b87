"""Tables of large images: what tiles find, which score decides, what joining leaves to be seen."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from common import markdown_table
from results_files import percent, result

_SETS = {
    "plates2048": "panels, 2048 px",
    "plates4096": "panels, 4096 px",
    "screws9": "nine screws, 2048 px",
    "screw1": "one screw",
}


def _rows() -> list[dict[str, Any]]:
    """The rows of the published score: of the tiles' joined map."""
    rows: list[dict[str, Any]] = result("large_accuracy")["figures"]["rows"]
    return [row for row in rows if row["score"] == "map"]


def ways() -> str:
    """Each set stretched, by tiles, and by tiles and the coarse pass."""
    lines = []
    for row in _rows():
        found = sum(each["found"] for each in row["per_defect"].values())
        bad = sum(each["images"] for each in row["per_defect"].values())
        lines.append(
            [
                _SETS[row["set"]],
                row["way"],
                str(row["inputs"]),
                *percent((row["image_auroc"], row["pro"])),
                f"{row['held_out']}, {100 * row['supports']:.1f} %",
                f"{found} of {bad}",
                f"{row['false_alarms']} of {row['good']}",
                f"{row['cpu_seconds']:.1f}",
            ]
        )
    columns = ["set", "judged", "inputs", "I-AUROC", "PRO", "held out, supports", "found", "false alarms"]
    return markdown_table([*columns, "CPU s an image"], lines, left=2)


def sizes() -> str:
    """Defects found at the threshold, by their size."""
    rows = [row for row in _rows() if row["set"].startswith("plates")]
    names = list(rows[0]["per_defect"])
    lines = [
        [
            _SETS[row["set"]],
            row["way"],
            *(f"{row['per_defect'][name]['found']} of {row['per_defect'][name]['images']}" for name in names),
            *percent(row["per_defect"][name]["image_auroc"] for name in names),
        ]
        for row in rows
    ]
    shown = [name.lstrip("0").replace("px", " px") for name in names]
    columns = ["set", "judged", *(f"{name} found" for name in shown), *(f"{name} I-AUROC" for name in shown)]
    return markdown_table(columns, lines, left=2)


def score() -> str:
    """Kinds of score, overlaps and gains of the coarse map."""
    lines = []
    for row in result("large_score")["figures"]["rows"]:
        found = [f"{100 * value:.0f}" for value in row["found"].values()]
        coarse = "" if not row["coarse"] else f"x {row['gain_factor']:g}"
        lines.append(
            [
                row["run"],
                row["score"],
                str(row["overlap"]),
                coarse,
                *percent([row["image_auroc"]]),
                f"{100 * row['false_alarms']:.1f}",
                " / ".join(found),
            ]
        )
    kinds = " / ".join(
        name.lstrip("0") for name in next(iter(result("large_score")["figures"]["rows"]))["found"]
    )
    columns = [
        "run",
        "score",
        "overlap px",
        "coarse, its gain",
        "I-AUROC",
        "false alarms %",
        f"found % {kinds}",
    ]
    return markdown_table(columns, lines, left=2)


def borders() -> str:
    """Defects on borders and corners of tiles, beside those inside."""
    lines = []
    for overlap, kinds in result("large_borders")["figures"]["places"].items():
        for kind, row in kinds.items():
            regions = ", ".join(f"{count} with {number}" for number, count in row["regions"].items())
            median, low, high = row["area"]
            lines.append(
                [overlap, kind, str(row["places"]), regions, f"{median:.2f}", f"{low:.2f} to {high:.2f}"]
            )
    columns = ["tiles", "place", "places", "places by regions", "area, median", "5 % to 95 %"]
    return markdown_table(columns, lines, left=2)


def grid() -> str:
    """How much of the tiles is seen in the mean map of good images."""
    lines = []
    for weights, axes in result("large_borders")["figures"]["grid"].items():
        for axis, row in axes.items():
            lines.append([weights, axis, f"{row['step']:.2f}", f"{row['energy']:.2f}"])
    return markdown_table(["joined with", "along", "step at borders", "energy at the period"], lines, left=2)


LARGE: dict[str, Callable[[], str]] = {
    "large-ways": ways,
    "large-sizes": sizes,
    "large-score": score,
    "large-borders": borders,
    "large-grid": grid,
}
