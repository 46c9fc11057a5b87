"""The report's three charts: ROC, region overlap, and the distribution of scores."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.evaluation.metrics import PRO_LIMIT
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.train.report.curves import curve, thinned, up_to
from dmdd_edge.train.report.svg import Chart, shares
from dmdd_edge.train.report.words import percent

_BINS = 48
_ROW = 46
#: Widths of the chart of scores, on a wide screen and on a phone: text has the page's size on both.
BROAD, NARROW = 860, 380


def roc_chart(images: Ranking | None, pixels: Ranking | None, rates: tuple[float, float] | None) -> str:
    """Receiver operating characteristic of images and of pixels.

    Args:
        images, pixels: as ``curves`` ranks them; None leaves the curve out.
        rates: false and true positive rate of images at the threshold, to be marked; None for no mark.
    """
    chart = Chart("ROC curves of images and pixels", (0.0, 1.0))
    chart.axes("false positive rate", "true positive rate")
    chart.segment(chart.at(0, 0), chart.at(1, 1), "chance")
    entries: list[tuple[str, str]] = []
    for ranking, kind, name in ((pixels, "second", "pixels"), (images, "first", "images")):
        if ranking is not None:
            chart.line(thinned(curve(ranking), 1.0), kind)
            entries.insert(0, (kind, f"{name}, AUROC {percent(ranking.auroc())} %"))
    if rates is not None:
        words = f"at the threshold: {percent(rates[0])} % false alarms, {percent(rates[1])} % found"
        chart.dot(*rates, "mark", words)
        entries.append(("mark", "at the threshold"))
    chart.legend(entries)
    return chart.draw()


def pro_chart(regions: Ranking | None) -> str:
    """Per-region overlap over the false positive rate of pixels, up to the limit of the integral."""
    chart = Chart("Per-region overlap", (0.0, PRO_LIMIT))
    chart.axes("false positive rate of pixels", "mean overlap of regions")
    if regions is not None:
        chart.line(thinned(up_to(curve(regions), PRO_LIMIT), PRO_LIMIT), "third")
        chart.legend([("third", f"PRO {percent(regions.area_up_to(PRO_LIMIT))} %, limit {PRO_LIMIT}")])
    return chart.draw()


def score_chart(
    groups: Sequence[tuple[str, str, NDArray[np.float64]]], threshold: float | None, width: int = BROAD
) -> str:
    """Scores of each group of images in a separate strip, over one axis, with the threshold.

    Args:
        groups: name, class of the color, and scores.
        threshold: the image threshold; None draws none.
        width: of the drawing.
    """
    everything = np.concatenate(
        [scores for _, _, scores in groups] + [[] if threshold is None else [threshold]]
    )
    low, high = float(everything.min()), float(everything.max())
    pad = max(0.03 * (high - low), 1e-4)
    low, high = max(low - pad, 0.0), high + pad
    rows = len(groups)
    chart = Chart(
        "Scores by kind of image",
        (low, high),
        (0.0, float(rows)),
        (width, 66 + _ROW * rows),
        (14, 22, 14, 42),
    )
    chart.axes("score")
    edges = np.linspace(low, high, _BINS + 1).tolist()
    for row, (_, kind, scores) in enumerate(groups):
        base = float(rows - 1 - row)
        chart.segment(chart.at(low, base), chart.at(high, base), "base")
        chart.bars(edges, [0.6 * share for share in shares(scores, edges)], base, kind)
    if threshold is not None:
        chart.segment(chart.at(threshold, 0), chart.at(threshold, rows), "threshold")
        x, y = chart.at(threshold, rows)
        share = (threshold - low) / (high - low)
        anchor = "start" if share < 0.2 else "end" if share > 0.8 else "middle"
        chart.text(x, y - 6, f"threshold {threshold:.4f}", anchor, "key")
    for row, (name, _, scores) in enumerate(groups):
        words = f"{name} ({len(scores)})"
        if threshold is not None:
            words += f": {int((scores > threshold).sum())} above"
        x, y = chart.at(low, rows - row)
        chart.text(x + 4, y + 13, words, "start", "key")
    return chart.draw()
