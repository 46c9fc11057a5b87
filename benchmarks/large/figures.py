"""The figures of one way to evaluate large images: decisions at a stated rate, I-AUROC, PRO."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.place_levels import PlaceLevels
from dmdd_edge.evaluation.metrics import PRO_LIMIT
from dmdd_edge.evaluation.pixel_counts import PixelCounts
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.evaluation.value_bins import ValueBins
from large.passes import Maps, Passed

#: The stated rate of false alarms.
ALPHA = 0.01

#: Images of several parts that are made for each defective one.
_DRAWS = 50


@dataclass
class Judged:
    """What one way to evaluate gave for all images of a set.

    Attributes:
        label: of the way.
        score: "map", or "place" where the map is beside good parts at the same place.
        changes: fields of ``Tiling`` that it changes; None where there are no tiles.
        own: the levels of places of held-out images that gave those of ``changes``, by name.
        chosen: of the score that ``--score auto`` takes: by what; None of another one.
        scores: those of the held-out images and of each type of test images.
        pixels: by type of test images, the counts of map values in source pixels.
        bins: of these counts; fine where the values of the first map are.
        seconds: processor time of each test image.
        inputs: of the network, for an image.
    """

    label: str
    score: str = "map"
    changes: dict[str, Any] | None = None
    own: Mapping[str, PlaceLevels] = field(default_factory=dict, repr=False)
    chosen: dict[str, Any] | None = None
    scores: dict[str, list[float]] = field(default_factory=dict)
    pixels: dict[str, PixelCounts] = field(default_factory=dict)
    bins: ValueBins | None = None
    seconds: list[float] = field(default_factory=list)
    inputs: int = 1

    def joined(self, one: Passed) -> tuple[Maps, float]:
        """The map of the view on which this way decides, and the score."""
        changes = self.changes or {}
        if one.name in self.own:
            changes = changes | {"levels": self.own[one.name]}
        return one.joined(**changes)

    def add(self, one: Passed) -> None:
        """Evaluate one more image."""
        group = "held out" if one.held_out else one.defect
        joined, score = self.joined(one)
        self.scores.setdefault(group, []).append(score)
        if one.held_out:
            return
        source = one.geometry.map_to_source(joined)
        self.bins = self.bins or ValueBins.of(source)
        self.pixels.setdefault(group, PixelCounts.empty(self.bins)).count(self.bins, source, one.mask)
        self.seconds.append(one.seconds)
        without = self.changes is not None and not self.changes["coarse"] and one.geometry.layout.coarse
        self.inputs = len(one.scores) - without

    def row(self) -> dict[str, Any]:
        """The figures."""
        scores = self.scores
        threshold = threshold_from_normals(scores["held out"], ALPHA)
        bad = [name for name in scores if name not in ("held out", "good")]
        return {
            "way": self.label,
            "score": self.score,
            "default": self.chosen is not None or self.changes is None,
            "chosen": self.chosen,
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


def judge(images: Iterable[Passed], ways: Sequence[Judged]) -> None:
    """Evaluate images in several ways at once; each is held once."""
    for one in images:
        for way in ways:
            way.add(one)


def _above(scores: list[float], threshold: float) -> int:
    return sum(score > threshold for score in scores)


def auroc(anomalous: list[float], good: list[float]) -> float | None:
    """The area under the ROC curve of some scores; None where a kind is missing."""
    ranked = Ranking.of(np.array(anomalous), [np.sort(np.array(good))])
    return None if ranked is None else round(ranked.auroc(), 4)


def auroc_of_several(anomalous: Sequence[float], good: Sequence[float], parts: int) -> float | None:
    """The I-AUROC of images of several parts, each scored by itself, of which the highest score counts.

    Args:
        anomalous: scores of defective parts; each is put beside good ones in ``_DRAWS`` seeded ways.
        good: scores of good parts, at least ``parts``; as many images as defective ones are made of them.
        parts: of an image.
    """
    rng = np.random.default_rng(20)

    def highest(count: int) -> float:
        return float(rng.choice(np.array(good), count, replace=False).max())

    mixed = [max(score, highest(parts - 1)) for score in anomalous for _ in range(_DRAWS)]
    return auroc(mixed, [highest(parts) for _ in mixed])
