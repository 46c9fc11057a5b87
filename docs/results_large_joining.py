"""Tables of what the joining of tiles leaves to be seen, and of false alarms per part."""

from __future__ import annotations

from collections.abc import Callable

from common import markdown_table
from results_files import result

_KINDS = {"inside": "middle of a tile", "border": "border of two tiles", "corner": "corner of four tiles"}


def borders() -> str:
    """Regions and areas of the same defect at places that differ only in where the tiles are."""
    figures = result("large_borders")["figures"]
    lines = []
    for overlap, kinds in figures["places"].items():
        for kind, name in _KINDS.items():
            row = kinds[kind]
            median, low, high = row["area"]
            lines.append(
                [
                    overlap,
                    name,
                    str(row["places"]),
                    f"{row['regions'].get('1', 0)}",
                    f"{sum(n for regions, n in row['regions'].items() if regions not in ('0', '1'))}",
                    f"{row['regions'].get('0', 0)}",
                    f"{median:.2f} ({low:.2f} to {high:.2f})",
                ]
            )
    columns = ["tiles", "place of the defect", "places", "one region", "several", "none"]
    return markdown_table([*columns, "area, that in a tile's middle is 1 (5 % to 95 %)"], lines, left=2)


def grid() -> str:
    """How much of the tiles the mean map of good images shows."""
    figures = result("large_borders")["figures"]
    lines = [
        [name, *(f"{row[axis][key]:.2f}" for axis in ("x", "y") for key in ("step", "energy"))]
        for name, row in figures["grid"].items()
    ]
    columns = ["joined with", "step, x", "power at the tiles' period, x", "step, y", "power, y"]
    return markdown_table(columns, lines, left=1)


def alarms() -> str:
    """False alarms per part at stated rates, with a threshold of whole images and one of single tiles."""
    lines = [
        [
            f"{100 * row['stated']:.0f} %",
            f"{100 * row['attainable']:.1f} %",
            f"{100 * row['whole_images']:.1f} %",
            f"{100 * row['whole_images_lowest']:.1f} to {100 * row['whole_images_highest']:.1f} %",
            f"{100 * row['single_tiles']:.1f} %",
        ]
        for row in result("large_false_alarms")["figures"]["rates"]
    ]
    columns = ["stated", "supported", "false alarms a part", "divisions", "threshold from single tiles"]
    return markdown_table(columns, lines, left=0)


LARGE_JOINING: dict[str, Callable[[], str]] = {
    "large-borders": borders,
    "large-grid": grid,
    "large-alarms": alarms,
}
