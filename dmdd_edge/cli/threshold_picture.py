"""Two thresholds on two histograms, good parts and bad ones, as lines of text."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from dmdd_edge.runtime.recalibration.evidence import Evidence

Numbers = NDArray[np.float64]

#: Classes of scores; a class with a threshold in it is divided there.
_CLASSES = 14
#: Columns of the longest bars of good and of bad parts, and of a whole line.
_GOOD, _BAD, WIDTH = 32, 14, 78


def picture(evidence: Evidence, old: float, new: float, block: str = "#") -> Iterator[tuple[str, str]]:
    """Lines of at most 78 characters, each with its style for a terminal.

    Args:
        evidence: good parts count with their weights; bad ones are those that people call bad.
        old: threshold in force, 0..1.
        new: the other threshold, 0..1.
        block: what a bar is made of.
    """
    scores = np.concatenate([part for period in evidence.periods for part in (period.sample, period.alarms)])
    weights = np.concatenate(
        [
            weight
            for period in evidence.periods
            for weight in (
                np.full(len(period.sample), period.passing / max(len(period.sample), 1)),
                np.ones(len(period.alarms)),
            )
        ]
    )
    every = np.concatenate([scores, evidence.bad, [old, new]])
    edges = np.unique([*np.linspace(every.min(), every.max(), _CLASSES + 1), old, new])
    # A score belongs to the class below an edge that it equals: a part is anomalous above a threshold.
    good = np.bincount(np.maximum(np.searchsorted(edges, scores) - 1, 0), weights, len(edges))
    bad = np.bincount(np.maximum(np.searchsorted(edges, evidence.bad) - 1, 0), minlength=len(edges))
    yield f"{'score':<16}{'good parts':<{_GOOD + 9}}bad parts", "bold"
    for at in range(len(edges) - 1):
        marks = [name for name, level in (("old", old), ("new", new)) if level == edges[at] and at]
        if marks:
            yield _mark(marks, edges[at]), "yellow" if "new" in marks else "cyan"
        left = _bar(good[at], good.max(), _GOOD, block)
        right = _bar(bad[at], bad.max(), _BAD, block)
        yield f"{edges[at]:.4f}-{edges[at + 1]:.4f}   {left:<{_GOOD + 9}}{right}".rstrip(), ""
    last = [name for name, level in (("old", old), ("new", new)) if level == edges[-1]]
    if last:
        yield _mark(last, edges[-1]), "yellow" if "new" in last else "cyan"
    yield "Bars are logarithmic. Sampled parts stand for all that passed.", "dim"


def _bar(count: float, most: float, width: int, block: str) -> str:
    if count <= 0:
        return ""
    length = max(round(width * np.log1p(count) / np.log1p(most)), 1)
    return f"{block * length} {count:,.0f}"


def _mark(names: list[str], level: float) -> str:
    text = f"---- {' and '.join(names)} threshold {level:.4f} "
    return text + "-" * (WIDTH - len(text))
