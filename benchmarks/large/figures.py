"""The figures of one way to evaluate large images: decisions at a stated rate, I-AUROC, PRO."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.evaluation.metrics import PRO_LIMIT
from dmdd_edge.evaluation.pixel_counts import PixelCounts
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.value_bins import ValueBins
from large.passes import Passed

#: The stated rate of false alarms.
ALPHA = 0.01

#: What the score of an image may be; see ``Tiling.score``.
SCORES = ("map", "tiles")


@dataclass
class Judged:
    """What one way to evaluate gave for all images of a set.

    Attributes:
        coarse: whether the coarse map takes part; None where there are no tiles.
        scores: by kind of score, those of the held-out images and of each type of test images.
        pixels: by type of test images, the counts of map values in source pixels.
        bins: of these counts; fine where the values of the first map are.
        seconds: processor time of each image.
        inputs: of the network, for an image.
    """

    coarse: bool | None
    scores: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    pixels: dict[str, PixelCounts] = field(default_factory=dict)
    bins: ValueBins | None = None
    seconds: list[float] = field(default_factory=list)
    inputs: int = 1

    def add(self, one: Passed) -> None:
        """Evaluate one more image."""
        group = "held out" if one.held_out else one.defect
        # Training measures the level of the whole image's score beside that of the joined map.
        for kind in SCORES if self.coarse is False else SCORES[:1]:
            joined, score = one.joined(coarse=self.coarse, score=kind)
            self.scores.setdefault(kind, {}).setdefault(group, []).append(score)
        if not one.held_out:
            source = one.geometry.map_to_source(joined)
            self.bins = self.bins or ValueBins.of(source)
            self.pixels.setdefault(group, PixelCounts.empty(self.bins)).count(self.bins, source, one.mask)
        self.seconds.append(one.seconds)
        self.inputs = len(one.scores) - (self.coarse is False and one.geometry.layout.coarse)

    def rows(self) -> list[dict[str, Any]]:
        """A row for each kind of score."""
        return [self._row(kind, scores) for kind, scores in self.scores.items()]

    def _row(self, kind: str, scores: dict[str, list[float]]) -> dict[str, Any]:
        threshold = threshold_from_normals(scores["held out"], ALPHA)
        bad = [name for name in scores if name not in ("held out", "good")]
        return {
            "score": kind,
            "inputs": self.inputs,
            "held_out": threshold.normals,
            "supports": round(max(ALPHA, threshold.attainable), 4),
            "threshold": threshold.image,
            "good": len(scores["good"]),
            "false_alarms": _above(scores["good"], threshold.image),
            "image_auroc": auroc([value for name in bad for value in scores[name]], scores["good"]),
            "pro": self._pro(bad),
            "per_defect": {
                name: {
                    "images": len(scores[name]),
                    "found": _above(scores[name], threshold.image),
                    "image_auroc": auroc(scores[name], scores["good"]),
                    "pro": self._pro([name]),
                }
                for name in bad
            },
            "cpu_seconds": round(float(np.median(self.seconds)), 2),
        }

    def _pro(self, bad: list[str]) -> float | None:
        regions = PixelCounts.sum(self.pixels[name] for name in ["good", *bad]).rankings()[1]
        return None if regions is None else round(regions.area_up_to(PRO_LIMIT), 4)


def judge(images: Iterable[Passed], ways: dict[str, Judged]) -> None:
    """Evaluate images in several ways at once; each is held once."""
    for one in images:
        for way in ways.values():
            way.add(one)


def _above(scores: list[float], threshold: float) -> int:
    return sum(score > threshold for score in scores)


def auroc(anomalous: list[float], good: list[float]) -> float | None:
    """The area under the ROC curve of some scores; None where a kind is missing."""
    ranked = Ranking.of(np.array(anomalous), [np.sort(np.array(good))])
    return None if ranked is None else round(ranked.auroc(), 4)
