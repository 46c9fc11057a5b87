"""Other maps from the networks of finished runs: lengths other than the cosine, maxima of mixes, quantiles.

    python benchmarks/accuracy/other_maps.py runs/bottle [runs/screw ...]

Nothing is trained. Each row has the weights that the run chose, and figures on synthetic damage on held-out
good images (it decides) and on the test images (they decide nothing).
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from accuracy.finished import damage_and_test, good_images, study
from accuracy.lengths import Length, lengths
from dmdd_edge.data.datasets import GOOD
from dmdd_edge.evaluation.metrics import evaluate
from dmdd_edge.evaluation.test_set import TestSet
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.features import to_input
from dmdd_edge.train.head import STAGES, ScaledHead
from dmdd_edge.train.scales import FOREIGN
from dmdd_edge.train.steps import Features

Image = NDArray[np.uint8]
#: Maps at the head's size by family (branch and length, or the density): N x stages x s x s, half precision.
Stacks = dict[str, Tensor]
#: Weights of one mix: of the stages, of the abnormality branch, and the density's share.
Weights = tuple[Sequence[float], float, float]
#: Families with their shares within their branch, and what makes a map of stacks.
Families = list[tuple[str, float]]
Make = Callable[[Stacks], Tensor]

_BRANCHES = ("normality", "abnormality")
_DENSITY, _COSINE = "density", "cosine"
#: The length that the scaled head may use beside the cosine.
_BUILT = "Mahalanobis, covariance of the difference"
_BATCH, _FLOOR, _MIDDLE = 8, 0.03, 2.0
#: Good training images that give levels and covariances; damaged images of each kind.
_LEARNT, _COUNT = 64, 16


@dataclass
class Networks:
    """A run's networks and head, and the lengths fitted on its good images."""

    run: Run
    head: ScaledHead
    lengths: dict[tuple[str, int], Mapping[str, Length]]

    @torch.no_grad()
    def features(self, images: Image) -> Iterator[Features]:
        """Of the teacher and of both branches, batch by batch."""
        model = self.run.model
        for start in range(0, len(images), _BATCH):
            x = model.normalize(to_input(images[start : start + _BATCH], torch.device("cpu")))
            yield model.teacher(x), model.student(x)

    @torch.no_grad()
    def stacks(self, images: Image) -> Stacks:
        """The smoothed maps of all families."""
        found: dict[str, list[Tensor]] = {}
        for teacher, student in self.features(images):
            for branch in _BRANCHES:
                for name in self.lengths[branch, 0]:
                    maps = [
                        self.lengths[branch, stage][name](teacher[stage], student[branch][stage])
                        for stage in range(STAGES)
                    ]
                    found.setdefault(f"{branch} {name}", []).append(self.head.stack(maps).half())
            if self.run.model.density is not None:
                maps = self.run.model.density(teacher)
                found.setdefault(_DENSITY, []).append(self.head.stack(maps).half())
        return {name: torch.cat(parts) for name, parts in found.items()}


def networks(run: Run, good: Image) -> Networks:
    """Fit the lengths on good training images."""
    assert isinstance(run.model.head, ScaledHead)
    common.require_not_rotated(run.model)
    made = Networks(run, run.model.head, {})
    seen = list(made.features(good))
    for branch in _BRANCHES:
        for stage in range(STAGES):
            made.lengths[branch, stage] = lengths((t[stage], s[branch][stage]) for t, s in seen)
    return made


@dataclass
class Mixer:
    """Mixes stacked maps as the scaled head does, for any families.

    Args:
        head: of the run.
        good: stacks of good training images, which set the levels.
    """

    head: ScaledHead
    good: Stacks

    def level(self, family: str) -> Tensor:
        """Mean peak of each map on the good images."""
        return self.head.peaks(self.good[family].float()).mean(0).clamp(min=1e-6)

    def weighed(self, families: Families, weights: Weights) -> list[tuple[str, Tensor]]:
        """The weights of each family's maps, together 1.

        Args:
            families: with their shares within their branch.
            weights: of the mix.
        """
        stages, abnormality, density = torch.tensor(weights[0]), weights[1], weights[2]
        made = [
            (name, share * stages * (abnormality if name.startswith("abnormality") else 1.0))
            for name, share in families
        ]
        total = sum(float(each.sum()) for _, each in made)
        made = [(name, (1.0 - density) * each / total) for name, each in made]
        return made + ([(_DENSITY, torch.full((3,), density / 3))] if density else [])

    def mix(self, stacks: Stacks, families: Families, weights: Weights, quantile: float = 0.0) -> Tensor:
        """Geometric mean of the maps over their levels, N x s x s.

        Args:
            stacks, families, weights: what is mixed.
            quantile: of the good images' pixels that is a map's level; 0 for the mean peak.
        """
        mean: Tensor | float = 0.0
        for name, each in self.weighed(families, weights):
            level = self.level(name)
            if quantile:
                pixels = self.good[name].float().transpose(0, 1).flatten(1)
                level = torch.from_numpy(np.quantile(pixels.numpy(), quantile, axis=1)).float()
            relative = stacks[name].float() / level.clamp(min=1e-6)[:, None, None] + _FLOOR
            mean = mean + (relative.log() * each[:, None, None]).sum(1)
        return torch.as_tensor(mean).exp()

    def maximum(self, stacks: Stacks, families: Families, two: Sequence[Weights]) -> Tensor:
        """Maximum of two mixes, each over its own mean peak on the good images."""
        parts = []
        for weights in two:
            peaks = self.head.peaks(self.mix(self.good, families, weights)[:, None])
            parts.append(self.mix(stacks, families, weights) / peaks.mean())
        return torch.maximum(*parts)

    def score(self, stacks: Stacks, families: Families) -> NDArray[np.float32]:
        """Mean z-value of the peaks, without the prototypes; N."""
        z: Tensor | float = 0.0
        fixed = (ScaledHead.STAGE_WEIGHTS, ScaledHead.ABNORMALITY_WEIGHT, 0.0)
        for name, each in self.weighed(families, fixed):
            good = self.head.peaks(self.good[name].float())
            spread = torch.maximum(good.std(0), 0.05 * good.mean(0)).clamp(min=1e-9)
            z = z + ((self.head.peaks(stacks[name].float()) - good.mean(0)) / spread * each).sum(1)
        return np.asarray(torch.as_tensor(z).numpy(), np.float32)


def figures(head: ScaledHead, small: Tensor, scores: NDArray[np.float32], test: TestSet) -> dict[str, Any]:
    """P-AUROC and PRO of maps at the head's size, and I-AUROC; ``kinds`` has them by kind of defect."""
    full = [head.enlarge((part / (part + _MIDDLE))[:, None]).numpy() for part in torch.split(small, _BATCH)]
    found = evaluate(
        scores, test.labels, np.concatenate(full), np.asarray(test.masks), test.defects, test.has_mask
    )
    kinds = {name: each for name, each in found.per_defect.items() if each.pro is not None and name != GOOD}
    return {
        "image_auroc": _rounded(found.image_auroc),
        "pixel_auroc": _rounded(found.pixel_auroc),
        "pro": _rounded(found.pro),
        "kinds": {
            name: [_rounded(each.image_auroc), _rounded(each.pixel_auroc), _rounded(each.pro)]
            for name, each in kinds.items()
        },
    }


def error(kinds: Mapping[str, Sequence[float]]) -> float:
    """Geometric mean over kinds of damage of what P-AUROC and PRO together lack of 1."""
    lacks = [2.0 - each[1] - each[2] for each in kinds.values()]
    return round(float(np.exp(np.mean(np.log(lacks)))), 5)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(float(value), 5)


def candidates(mixer: Mixer, weights: Weights) -> dict[str, tuple[Make, Families]]:
    """By name: how the map is made of the stacks, and the families of the score."""
    names = [name.removeprefix("normality ") for name in mixer.good if name.startswith("normality ")]

    def both(name: str, share: float = 1.0) -> Families:
        return [(f"{branch} {name}", share) for branch in _BRANCHES]

    cosine, half = both(_COSINE), both(_COSINE, 0.5) + both(_BUILT, 0.5)
    made: dict[str, tuple[Make, Families]] = {}
    for name in names:
        made[name] = (partial(mixer.mix, families=both(name), weights=weights), both(name))
    made[f"half cosine, half {_BUILT}"] = (partial(mixer.mix, families=half, weights=weights), half)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0) if weights[2] else ():
        other = (weights[0], weights[1], share)
        made[f"density {share:.0%}"] = (partial(mixer.mix, families=cosine, weights=other), cosine)
        if share < 1.0:
            mixed = partial(mixer.mix, families=half, weights=other)
            made[f"density {share:.0%}, the rest half cosine, half {_BUILT}"] = (mixed, half)
    coarse: Weights = (ScaledHead.STAGE_WEIGHTS, 0.0, 0.0)
    fine: Weights = ((1.0, 1.0, 0.25, 0.0), max(weights[1], 0.3), weights[2])
    for name, first in (("the chosen mix", weights), ("fine stages with abnormality branch", fine)):
        maximum = partial(mixer.maximum, families=cosine, two=(first, coarse))
        made[f"maximum of {name} and coarse stages without abnormality branch"] = (maximum, cosine)
    for quantile in (0.5, 0.99):
        level = partial(mixer.mix, families=cosine, weights=weights, quantile=quantile)
        made[f"level at the {quantile:g} quantile of the pixels"] = (level, cosine)
    return made


def measure(run: Run) -> dict[str, Any]:
    """All rows of a run."""
    trained = good_images(run, "train")
    good = trained[np.linspace(0, len(trained) - 1, min(_LEARNT, len(trained))).round().astype(int)]
    made = networks(run, good)
    sets = damage_and_test(run, good_images(run, "holdout"), _COUNT)
    stacks = {where: made.stacks(np.asarray(test.images)) for where, test in sets.items()}
    mixer = Mixer(made.head, made.stacks(good))
    chosen = run.info["map_weights"]
    weights = (tuple(chosen["stages"]), chosen["abnormality"], chosen["density"])
    rows: dict[str, dict[str, Any]] = {}
    for name, (make, families) in candidates(mixer, weights).items():
        found = {
            where: figures(made.head, make(stacks[where]), mixer.score(stacks[where], families), test)
            for where, test in sets.items()
        }
        kinds = found["validation"]["kinds"]
        foreign = {kind: each for kind, each in kinds.items() if kind in FOREIGN}
        rows[name] = {"error": error(kinds), "foreign_error": error(foreign), **found}
        print(name, rows[name]["error"], rows[name]["foreign_error"], rows[name]["test"], flush=True)
    return {
        "weights": {"stages": weights[0], "abnormality": weights[1], "density": weights[2]},
        "rows": rows,
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    settings = {"damage_of_each_kind": _COUNT, "good_images": _LEARNT}
    study(__doc__, "other_maps", measure, settings, arguments)


if __name__ == "__main__":
    main()
