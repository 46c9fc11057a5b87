"""Conclusions: dmdd-edge against each peer that was trained here, and against published figures.

anomalib publishes the pixel AUROC of some variants of its models. Those are timed with random weights, which
shows the cost of that accuracy: how much longer than dmdd-edge the fastest variant takes whose published
figure reaches ours.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from dmdd_edge.evaluation.metrics import PAPER_FIGURES
from peers.declared import PUBLISHED, PUBLISHED_SOURCE

#: Published figures are rounded and vary with the seed, so a margin below ours (0..1) is reported as well.
MARGIN = 0.005


def find(figures: Mapping[str, Any], categories: Sequence[str], margin: float) -> dict[str, Any]:
    """The fastest peer whose published pixel AUROC reaches ours in every given category.

    Args:
        figures: ``own`` and ``peers`` per category.
        categories: at least one.
        margin: how much below ours still counts (0..1).

    Returns:
        ``fastest`` (None when no peer reaches it), ``ratio`` (its time over ours, the smallest over the
        categories), ``as_good`` (all such peers, fastest first), ``margin``.
    """
    ratios = {}
    for name in figures[categories[0]]["peers"]:
        rows = [figures[category]["peers"].get(name) for category in categories]
        if all(
            row is not None and _reaches(row["published_pixel_auroc"], figures[category]["own"], margin)
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
    """``find`` per category and for all categories, strictly and within the margin."""
    names = list(figures)
    sets = {name: [name] for name in names} | ({"all": names} if len(names) > 1 else {})
    found = {
        label: {"strictly": find(figures, chosen, 0.0), "within_margin": find(figures, chosen, MARGIN)}
        for label, chosen in sets.items()
    }
    return {**found, "source": PUBLISHED_SOURCE}


def sentences(figures: Mapping[str, Any], findings: Mapping[str, Any]) -> list[str]:
    """The conclusions as sentences."""
    return [*_against_trained(figures), *_against_published(figures, findings)]


def _against_trained(figures: Mapping[str, Any]) -> list[str]:
    """Compare dmdd-edge with each peer that was trained here."""
    lines = []
    for category, found in figures.items():
        ours = found["own"]["accuracy"]
        for row in found["peers"].values():
            theirs = row["accuracy"]
            if theirs is None or None in (*ours.values(), *theirs.values()):
                continue
            gains = ", ".join(
                f"{shown} {100 * (ours[name] - theirs[name]):+.2f}" for shown, name in PAPER_FIGURES
            )
            lines.append(
                f"{category}: dmdd-edge against {row['shown']}: {gains} points; "
                f"the other takes {row['ratio']:.2f} times as long."
            )
    return lines


def _against_published(figures: Mapping[str, Any], findings: Mapping[str, Any]) -> list[str]:
    lines = []
    for label, kinds in findings.items():
        if label == "source":
            continue
        where = "every category" if label == "all" else label
        for found in kinds.values():
            slack = f" or at most {100 * found['margin']:g} points below" if found["margin"] else ""
            about = f"{where}: published P-AUROC as good as dmdd-edge's{slack}"
            if found["fastest"] is None:
                lines.append(f"{about}: none of the timed variants.")
                continue
            some = figures[next(iter(figures)) if label == "all" else label]["peers"]
            shown = some[found["fastest"]]["shown"]
            lines.append(f"{about}: the fastest is {shown}; it takes {found['ratio']:.1f} times as long.")
    timed = {row["published"] for found in figures.values() for row in found["peers"].values()}
    untimed = [name for name in PUBLISHED if name not in timed]
    if untimed:
        lines.append(f"Published, but not timed: {'; '.join(untimed)}.")
    return lines


def _reaches(known: float | None, own: Mapping[str, Any], margin: float) -> bool:
    ours = own["accuracy"]["pixel_auroc"]
    # Published figures have three places, so ours is rounded to three.
    return known is not None and ours is not None and round(known, 3) >= round(ours - margin, 3)
