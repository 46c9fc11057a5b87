"""Tables of large images: what tiles find, and what the map beside good parts finds."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Any

from common import markdown_table
from results_files import percent, result

_PANELS = ("large_plates2048", "large_plates4096")
_SETS = {
    "plates2048": "panels, 2048 px",
    "plates4096": "panels, 4096 px",
    "screws9": "nine screws, 2048 px",
    "screw1": "one screw",
}


def _rows(*files: str) -> list[dict[str, Any]]:
    """The rows of files; of panels, whole images first."""
    return [
        row
        for file in files
        for row in sorted(
            result(file)["figures"]["rows"],
            key=lambda row: row["inputs"] > 1 and row["set"].startswith("plates"),
        )
    ]


def _judged(row: dict[str, Any]) -> list[str]:
    """The set, the way, and the score, with a star at what is used without an option."""
    score = row["score"] + (" *" if row.get("default") else "")
    return [_SETS[row["set"]], row["way"], score if row["tile"] else ""]


def ways(*files: str) -> str:
    """Each set stretched, by tiles, and by tiles and the coarse pass."""
    lines = []
    for row in _rows(*files):
        found = sum(each["found"] for each in row["per_defect"].values())
        bad = sum(each["images"] for each in row["per_defect"].values())
        lines.append(
            [
                *_judged(row),
                f"{row['steps']} x {row['batch_size']}",
                str(row["inputs"]),
                *percent((row["image_auroc"], row["pro"])),
                f"{row['held_out']}, {100 * row['supports']:.1f} %",
                f"{found} of {bad}",
                f"{row['false_alarms']} of {row['good']}",
            ]
        )
        if "image_auroc_of_nine" in row:
            highest = percent([row["image_auroc_of_nine"]])
            lines.append(["one screw, the highest of nine", *lines[-1][1:4], "9", *highest, *[""] * 4])
    columns = ["set", "judged", "score", "steps x pairs", "inputs", "I-AUROC", "PRO"]
    return markdown_table([*columns, "held out, supports", "found", "false alarms"], lines, left=3)


def sizes(*files: str) -> str:
    """Defects found at the threshold, and PRO, by their type."""
    rows = _rows(*files)
    names = list(rows[0]["per_defect"])
    lines = [
        [
            *_judged(row),
            *(f"{row['per_defect'][name]['found']} of {row['per_defect'][name]['images']}" for name in names),
            *percent(row["per_defect"][name]["pro"] for name in names),
        ]
        for row in rows
    ]
    shown = [name.lstrip("0").replace("px", " px") for name in names]
    columns = ["set", "judged", "score"]
    columns += [*(f"{name} found" for name in shown), *(f"{name} PRO" for name in shown)]
    return markdown_table(columns, lines, left=3)


def product(file: str = "large_place") -> str:
    """What ``--score map`` and ``--score place`` find; means over the divisions of the good images."""
    rows = result(file)["figures"]["rows"]
    lines = [
        [
            "tiles and coarse" if row["coarse"] else "tiles",
            row["score"],
            f"{row['held_out']}, {100 * row['supports']:.1f} %",
            f"{100 * row['false_alarms']:.1f}",
            *percent((row["image_auroc"], row["pro"]["all"])),
            *(f"{100 * value:.0f}" for value in row["found"].values()),
        ]
        for row in rows
    ]
    kinds = [f"{name.lstrip('0')} found %" for name in rows[0]["found"]]
    columns = ["judged", "score", "held out, supports", "false alarms %", "I-AUROC", "PRO", *kinds]
    return markdown_table(columns, lines, left=2)


def decisions(file: str = "large_place") -> str:
    """What ``--score auto`` decides."""
    lines = [
        [
            row["panels"],
            str(row["images"]),
            f"{row['shown']} of {row['damages']}",
            f"{row['agreement']:.2f}",
            *(f"{100 * row[name]:.1f}" for name in ("error_map", "error_place")),
            *(f"{100 * row[name]:.0f}" for name in ("found_map", "found_place")),
            "place" if row["by_place"] else "map",
        ]
        for row in result(file)["figures"]["decisions"]
    ]
    columns = ["panels", "held out", "damages shown", "agreement", "errors % map", "place"]
    return markdown_table([*columns, "found % map", "place", "decision"], lines, left=1)


LARGE: dict[str, Callable[[], str]] = {
    "large-ways": partial(ways, *_PANELS),
    "large-sizes": partial(sizes, *_PANELS),
    "large-screws": partial(ways, "large_screws"),
    "large-by-place": product,
    "large-auto": decisions,
}
