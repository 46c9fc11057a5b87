"""The fastest of anomalib's forms that finds defects as well as dmdd-edge does, and how much slower it is."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from peers.declared import PUBLISHED, PUBLISHED_SOURCE

#: Published figures are rounded and differ from seed to seed; so much below ours (0..1) still counts.
MARGIN = 0.005


def known_auroc(row: Mapping[str, Any]) -> float | None:
    """A peer's pixel AUROC: measured where it was trained here, else as published; None where neither is."""
    measured = row["accuracy"]["pixel_auroc"] if row["accuracy"] is not None else None
    found = measured if measured is not None else row["published_pixel_auroc"]
    return None if found is None else float(found)


def find(figures: Mapping[str, Any], categories: Sequence[str], margin: float) -> dict[str, Any]:
    """The fastest peer that is as good in every one of some categories.

    Args:
        figures: of each category, ``own`` and ``peers``.
        categories: at least one.
        margin: how much below ours counts as good (0..1).

    Returns:
        ``fastest`` (None where no peer is), ``ratio`` (how many times as long it takes, the smallest over the
        categories), ``as_good`` (all of them, fastest first), ``margin``.
    """
    ratios = {}
    for name in figures[categories[0]]["peers"]:
        rows = [figures[category]["peers"].get(name) for category in categories]
        if all(
            row is not None and _reaches(row, figures[category]["own"], margin)
            for row, category in zip(rows, categories, strict=True)
        ):
            ratios[name] = min(row["ratio"] for row in rows if row is not None)
    order = sorted(ratios, key=lambda name: ratios[name])
    fastest = order[0] if order else None
    return {
        "margin": margin,
        "fastest": fastest,
        "ratio": None if fastest is None else ratios[fastest],
        "as_good": order,
    }


def all_findings(figures: Mapping[str, Any]) -> dict[str, Any]:
    """``find`` for each category and for all of them, strictly and within the margin."""
    names = list(figures)
    sets = {name: [name] for name in names} | ({"all": names} if len(names) > 1 else {})
    found = {
        label: {"strictly": find(figures, chosen, 0.0), "within_margin": find(figures, chosen, MARGIN)}
        for label, chosen in sets.items()
    }
    return {**found, "source": PUBLISHED_SOURCE}


def sentences(figures: Mapping[str, Any], findings: Mapping[str, Any]) -> list[str]:
    """What ``all_findings`` found, for a person."""
    lines = []
    for label, kinds in findings.items():
        if label == "source":
            continue
        where = "every category" if label == "all" else label
        for found in kinds.values():
            slack = f", or at most {100 * found['margin']:g} points below," if found["margin"] else ""
            about = f"{where}: of anomalib's forms with a P-AUROC as good as dmdd-edge's{slack}"
            if found["fastest"] is None:
                lines.append(f"{about} there is none that was timed.")
                continue
            some = figures[next(iter(figures)) if label == "all" else label]["peers"]
            shown = some[found["fastest"]]["shown"]
            lines.append(f"{about} the fastest is {shown}: it takes {found['ratio']:.1f} times as long.")
    untimed = [name for name in PUBLISHED if name not in _timed(figures)]
    if untimed:
        lines.append(f"Published, but not timed: {'; '.join(untimed)}.")
    return lines


def _timed(figures: Mapping[str, Any]) -> set[str]:
    return {row["published"] for found in figures.values() for row in found["peers"].values()}


def _reaches(row: Mapping[str, Any], own: Mapping[str, Any], margin: float) -> bool:
    known, ours = known_auroc(row), own["accuracy"]["pixel_auroc"]
    # Published figures have three places: ours is held against them at as many.
    return known is not None and ours is not None and round(known, 3) >= round(ours - margin, 3)
