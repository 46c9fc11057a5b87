"""Fits the scaled head once the student is trained: the maps' levels, and each map's weight.

A coarse stage detects what is missing or bent, but its response spreads far around; on a fine, even surface
with small defects that spread hides them, on a part with an outline the coarse stages are needed. The
abnormality branch detects what resembles training's anomalies, which helps more on one part than on another.
No weights suit all parts, and without images of defects there are only normal images to choose by: held-out
images, and synthetic damage on them of kinds that training does not use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.data.datasets import GOOD
from dmdd_edge.evaluation.metrics import defect_pixel_figures
from dmdd_edge.evaluation.test_set import TestSet
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.other_cameras import as_other_cameras_see, fewer
from dmdd_edge.train.score_choice import choose_score
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.validation.damage import KINDS
from dmdd_edge.train.validation.images import validation_set

Image = NDArray[np.uint8]
Mask = NDArray[np.bool_]
#: uint8 n x S x S x 3 BGR to the distance maps of a model, as ``Head.forward`` takes them.
Distances = Callable[[Image], list[Tensor]]
#: Weights of the map: of the stages, of the abnormality branch, and the shares of the features' density and
#: of the branches' other length.
Weights = tuple[tuple[float, ...], float, float, float]
#: Called with the phase, the images done and their count.
Progress = Callable[[str, int, int | None], None]

#: Names of the phases in progress reports.
STATISTICS, LEVELS, DAMAGE, WEIGHTS, CHANGED, COMPARING = (
    "statistics of the good features",
    "levels of the maps",
    "synthesizing damage",
    "maps of the damage",
    "maps of good images from other cameras",
    "comparing weights of the maps",
)
#: Candidate weights of the stages, finest stage first: from coarse to fine profiles.
PROFILES = (
    ScaledHead.STAGE_WEIGHTS,
    (1.0, 1.0, 1.5, 0.25),
    (1.0, 1.0, 1.0, 0.0),
    (1.0, 1.0, 0.5, 0.0),
    (1.0, 1.0, 0.25, 0.0),
)
#: Candidate weights of the abnormality branch; the normality branch's is 1.
BRANCH_WEIGHTS = (ScaledHead.ABNORMALITY_WEIGHT, 0.6, 1.0, 2.0, 5.0)
#: Candidate shares of the map for the density of the teacher's features, and of the rest for the other
#: length of the branches' differences, the preferred first. They are tried only where the part fills the
#: image: beside an outline, features are unusual wherever the part is placed a little differently, and
#: synthetic damage is too obvious to show it.
DENSITY_SHARES = (0.75, 0.5, 0.25, 0.0)
LENGTH_SHARES = (0.5, 0.0)
#: The kinds of damage that bring something foreign onto the part. The others rearrange its own material,
#: which on a surface where any place may look like any other is hardly a defect: these shares are chosen by
#: the former alone.
FOREIGN = ("scratch", "spot")
#: The first shares are chosen whose error, the geometric mean over these kinds, exceeds the least by this
#: share at most. Real foreign matter on a surface is fainter than synthetic damage, and both kinds of map
#: detect it. So they are preferred, and each kind counts equally however hard it is.
SURFACE_NEAR = 0.1
#: Candidate shares of the map for the usual features at each place, the preferred first: the student was
#: trained on anomalies that resemble synthetic damage, they were not.
PLACE_SHARES = (0.5, 0.25, 0.0)
#: The first candidate is chosen whose error, what P-AUROC and PRO lack of 1, exceeds the least by this share
#: at most: the coarsest profile, the smallest weight. Synthetic damage is more obvious than most real defects
#: at a part's outline, which the coarse stages find, and closer to the anomalies that the abnormality branch
#: was trained on. Where the part fills the image there is no outline, and the best profile is chosen.
NEAR = 0.05
#: Stream of random numbers of the damage; the study's validation has 0.
_SEED = 1
_BATCH = 8
#: Damaged images of each kind: with half of them the choice depends on chance. Larger images are fewer, so
#: that their maps stay within 350 MiB up to 512 px and 600 MiB above, with 20 images held out.
_COUNT, _LEAST = 64, 8
#: Training images that are used instead when none were held out.
_AS_HOLDOUT = 32


@dataclass(frozen=True)
class Tried:
    """Weights of the map and the figures they reach on the damage, means over its kinds, 0..1.

    ``relative_error`` is the geometric mean, over the kinds that bring something foreign, of what the two
    figures together lack of 1; over all kinds where none of those is visible.
    """

    stages: tuple[float, ...]
    abnormality: float
    pixel_auroc: float
    pro: float
    density: float = 0.0
    relative_error: float = 0.0
    lengths: float = 0.0

    @property
    def error(self) -> float:
        """What the two figures lack of 1, together."""
        return 2.0 - self.pixel_auroc - self.pro


@dataclass(frozen=True)
class MapChoice:
    """The weights of a run's distance maps in its anomaly map.

    Attributes:
        stages: weights of the stages, finest first.
        abnormality: weight of the abnormality branch, where the normality branch's is 1.
        tried: all candidates with their figures; empty where no visible damage could be synthesized.
        images: damaged images that the choice is based on.
        density: share of the density of the teacher's features.
        prototypes: share of the usual features in the score.
        lengths: share of the other length of the branches' differences in what the density leaves.
        joined_score: whether the score is the peak of the maps' joined values.
        place: share of the usual features at each place in the map.
        by_place: whether the share of the score is of these, not of the nearest usual feature.
        known_bad: what known-bad parts say of the weights of the "score" and of the "map", as fields of
            ``known_bad_choice.Choice``; empty without them.
    """

    stages: tuple[float, ...]
    abnormality: float
    tried: list[Tried]
    images: int
    density: float = 0.0
    prototypes: float = 0.0
    lengths: float = 0.0
    joined_score: bool = False
    place: float = 0.0
    by_place: bool = False
    known_bad: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)

    def facts(self) -> dict[str, Any]:
        """As run.json keeps it."""
        return asdict(self)


def describe_choice(facts: Mapping[str, Any]) -> str:
    """A choice in one line, for people.

    Args:
        facts: as ``MapChoice.facts`` gives them and run.json keeps them.
    """
    stages = ", ".join(f"{weight:g}" for weight in facts["stages"])
    share = facts.get("density", 0.0)
    density = f"; rarity of the features {share:.0%}" if share else ""
    if share := facts.get("lengths", 0.0):
        density += f"; Mahalanobis length of the differences {share:.0%} of the rest"
    share, of_map = facts.get("prototypes", 0.0), facts.get("place", 0.0)
    if facts.get("by_place"):
        both = f"{of_map:.0%} of the map, {share:.0%} of the score"
        score = f"; distance to the usual feature at the same place {both}" if share or of_map else ""
    else:
        score = f"; distance to the nearest good feature {share:.0%} of the score" if share else ""
    if facts.get("joined_score"):
        score += "; score from the place where the maps together are highest"
    return (
        f"weights of the map: stages, finest first, {stages}; abnormality branch {facts['abnormality']:g}"
        f"{density}{score} (selected on {facts['images']} images with synthetic damage)"
    )


def _silent(what: str, done: int, total: int | None) -> None:
    """Ignore the progress."""


def damaged_images(size: int) -> int:
    """Largest number of images with synthetic damage for choosing the weights.

    Args:
        size: side of the images in pixels.
    """
    return len(KINDS) * _count(size)


def _count(size: int) -> int:
    return fewer(_COUNT, size, _LEAST)


def fit_head(
    head: ScaledHead,
    distances: Distances,
    trained_on: Image,
    held_out: Image,
    method: foreground.Method,
    progress: Progress = _silent,
    parts: Sequence[Mask | None] | None = None,
    *,
    by_place: bool = False,
) -> MapChoice | None:
    """Fit everything of a head that depends on images, once the student is trained.

    Args:
        head: it is changed.
        distances: of the trained student.
        trained_on: normal images of the training, uint8 n x S x S x 3 BGR.
        held_out: normal images not trained on, likewise; without any, some of the others are used.
        method: how training found the part.
        progress: called with the images done.
        parts: where the part is in each held-out image, or without any in the others; None finds it by
            the method. In a tile it cannot be found: most show an inner piece of it.
        by_place: whether the head's last map is of the usual features at each place.

    Returns:
        the weights chosen for the map; None where the configuration sets them all.
    """
    fit_levels(head, distances, trained_on, progress)
    of_map = head.chooses_stages or head.chooses_branch or head.chooses_density
    if not (of_map or head.prototype_maps or head.chooses_joined):
        return None
    normals = held_out if len(held_out) else trained_on[:_AS_HOLDOUT]
    if parts is None:
        parts = foreground.masks(list(normals), method)[1]
    return choose_weights(head, distances, normals, parts[: len(normals)], progress, by_place=by_place)


@torch.no_grad()
def fit_levels(head: ScaledHead, distances: Distances, images: Image, progress: Progress = _silent) -> None:
    """Set the levels and spreads of a head's maps from the training images.

    Args:
        head: it is changed.
        distances: of the trained student.
        images: uint8 n x S x S x 3 BGR, normal.
        progress: called with the images done.
    """
    head.fit(torch.cat([head.peaks(part) for part in _stacks(head, distances, images, LEVELS, progress)]))


@torch.no_grad()
def choose_weights(
    head: ScaledHead,
    distances: Distances,
    normals: Image,
    parts: Sequence[Mask | None],
    progress: Progress = _silent,
    *,
    by_place: bool = False,
) -> MapChoice:
    """Choose the weights of the maps in a head's anomaly map by synthetic damage, and set them.

    The stages come first, then the abnormality branch, then the shares of the maps for surfaces. Weights that
    the configuration sets are kept.

    Args:
        head: with its levels fitted; it is changed.
        distances: of the trained student.
        normals: uint8 n x S x S x 3 BGR, preferably not trained on.
        parts: where the part is in each, bool S x S; None for everywhere.
        progress: called with the images done.
        by_place: as for ``fit_head``.
    """
    progress(DAMAGE, 0, None)
    test = validation_set(normals, parts, seed=_SEED, count=_count(normals.shape[1]))
    damaged = int(test.labels.sum())
    stages, abnormality = tuple(head.stages), head.abnormality
    density = prototypes = lengths = place = 0.0
    joined = False
    tried: dict[Weights, Tried] = {}
    if damaged:
        outlined = any(part is not None and not part.all() for part in parts)
        on_surface = surface_shares(head) if head.chooses_density and not outlined else []
        most = head.chooses_stages * len(PROFILES) + head.chooses_branch * (len(BRANCH_WEIGHTS) - 1)
        most += max(len(on_surface) - 1, 0) + by_place * (len(PLACE_SHARES) - 1)
        stacked = list(_stacks(head, distances, np.asarray(test.images), WEIGHTS, progress))

        def compare(weights: Weights) -> Tried:
            progress(COMPARING, len(tried), most)
            return _try(head, *weights, stacked, test)

        def measured(weights: Weights) -> Tried:
            if weights not in tried:
                tried[weights] = compare(weights)
            return tried[weights]

        def best(candidates: Sequence[Weights], near: float) -> Tried:
            return first_near_the_best([measured(weights) for weights in candidates], near)

        if head.chooses_stages:
            profiles = [(profile, abnormality, 0.0, 0.0) for profile in PROFILES]
            stages = best(profiles, NEAR if outlined else 0.0).stages
        if head.chooses_branch:
            branch = [(stages, weight, 0.0, 0.0) for weight in BRANCH_WEIGHTS]
            abnormality = best(branch, NEAR).abnormality
        if on_surface:
            shares = [measured((stages, abnormality, *each)) for each in on_surface]
            found = first_near_the_best(shares, SURFACE_NEAR, lambda item: item.relative_error)
            density, lengths = found.density, found.lengths
        if by_place:
            place = choose_place_share(head, measured((stages, abnormality, 0.0, 0.0)), compare)
        if head.prototype_maps or head.chooses_joined:
            changed = as_other_cameras_see(normals)
            of_changed = _stacks(head, distances, changed, CHANGED, progress)
            prototypes, joined = choose_score(
                head, [*stacked, *of_changed], [*test.defects, *[GOOD] * len(changed)]
            )
    head.weigh(stages, abnormality, density, lengths)
    return MapChoice(
        stages,
        abnormality,
        list(tried.values()),
        damaged,
        density=density,
        prototypes=prototypes,
        lengths=lengths,
        joined_score=joined,
        place=place,
        by_place=by_place,
    )


def choose_place_share(head: ScaledHead, without: Tried, compare: Callable[[Weights], Tried]) -> float:
    """Choose the share of the usual features at each place in the map, and set it.

    Args:
        head: it is changed.
        without: the weights of the other maps, with their figures alone.
        compare: gives the figures of weights beside the head's share.
    """
    found = []
    for share in PLACE_SHARES:
        head.usual_share = share
        weights = (without.stages, without.abnormality, 0.0, 0.0)
        found.append(compare(weights) if share else without)
    head.usual_share = PLACE_SHARES[found.index(first_near_the_best(found, NEAR))]
    return head.usual_share


def surface_shares(head: ScaledHead) -> list[tuple[float, float]]:
    """Candidate shares of density and other length, the preferred first, of the maps that a head has."""
    return [
        (density, length)
        for density in DENSITY_SHARES
        for length in LENGTH_SHARES
        if (head.length_maps or not length) and (head.density_maps or not density)
    ]


def first_near_the_best(
    tried: Sequence[Tried], near: float, error: Callable[[Tried], float] = lambda item: item.error
) -> Tried:
    """The first whose error is near enough to the least.

    Args:
        tried: on the same damage, the preferred first.
        near: share of the least error that it may be above it.
        error: what counts.
    """
    least = min(map(error, tried))
    return next(item for item in tried if error(item) <= (1.0 + near) * least)


def _stacks(
    head: ScaledHead, distances: Distances, images: Image, what: str, progress: Progress
) -> Iterator[Tensor]:
    """The head's stacked maps of the images, batch by batch."""
    progress(what, 0, len(images))
    for start in range(0, len(images), _BATCH):
        yield head.stack(distances(images[start : start + _BATCH]))
        progress(what, min(start + _BATCH, len(images)), len(images))


def _try(
    head: ScaledHead,
    stages: tuple[float, ...],
    abnormality: float,
    density: float,
    lengths: float,
    stacked: list[Tensor],
    test: TestSet,
) -> Tried:
    head.weigh(stages, abnormality, density, lengths)
    maps = np.concatenate([head.enlarge(head.map(part)).cpu().numpy() for part in stacked])
    kinds = defect_pixel_figures(maps, np.asarray(test.masks), test.defects, GOOD)
    pixel_auroc, pro = (round(float(np.mean(values)), 6) for values in zip(*kinds.values(), strict=True))
    of = [values for kind, values in kinds.items() if kind in FOREIGN] or list(kinds.values())
    lacks = [max(2.0 - sum(value or 0.0 for value in values), 1e-6) for values in of]
    relative_error = round(float(np.exp(np.mean(np.log(lacks)))), 6)
    return Tried(tuple(stages), abnormality, pixel_auroc, pro, density, relative_error, lengths)
