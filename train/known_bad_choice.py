"""Chooses weights of the maps by known-bad parts, where that is better than synthetic damage's choice.

Synthetic damage chooses the weights where nothing is known of real defects (``scales``). A few real ones say
more about this part, and less about the next kind of defect: their choice counts only where it is better by
a stated margin on parts that did not choose.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import product
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.scales import BRANCH_WEIGHTS, PROFILES, MapChoice
from dmdd_edge.train.score_choice import SHARES

Values = NDArray[np.float64]
#: Weights of the stages, of the abnormality branch, and the share of the prototypes.
Weights = tuple[Sequence[float], float, float]
#: Fewer known-bad parts report only.
ENOUGH = 8
#: The weights change only where parts that did not choose them stand this much better among good parts: the
#: mean share of good parts that score lower. The gain must also be this many standard errors: of eight parts,
#: one standard error is often chance, and then the other defects are found less (docs/results/upkeep.md).
MARGIN, ERRORS = 0.02, 2.0


@dataclass(frozen=True)
class Choice:
    """What the known-bad parts say about the weights of the score, or of the map.

    ``before``, ``after`` and ``error`` are shares of good parts, 0..1: how many score lower than a known-bad
    part, in the mean over these.

    Attributes:
        changed: whether their weights are in use.
        before: with the weights that synthetic damage chose.
        after: with theirs, of the parts that did not take part in the choice.
        error: standard error of the difference.
        stages: their weights of the stages, finest first.
        abnormality: of the abnormality branch.
        prototypes: share of the nearest usual feature in the score; 0 for the map.
    """

    changed: bool
    before: float
    after: float
    error: float
    stages: tuple[float, ...]
    abnormality: float
    prototypes: float = 0.0


def describe(what: str, facts: Mapping[str, Any]) -> str:
    """A choice in one line, for a person.

    Args:
        what: "score" or "map".
        facts: fields of ``Choice``, as run.json keeps them.
    """
    figures = (
        f"{100 * facts['before']:.1f} % of good parts score lower than a known-bad part; with weights chosen "
        f"by the others {100 * facts['after']:.1f} %"
    )
    if not facts["changed"]:
        return f"weights of the {what}: those of synthetic damage stay ({figures})"
    stages = ", ".join(f"{weight:g}" for weight in facts["stages"])
    return (
        f"weights of the {what}, chosen by known-bad parts: stages {stages}; abnormality branch "
        f"{facts['abnormality']:g} ({figures})"
    )


def cross_validated(bad: Values, good: Values) -> tuple[int, float, float, float]:
    """Choose among candidates, and estimate what the choice is worth on parts that did not choose.

    Each known-bad part is judged by the candidate that the others choose.

    Args:
        bad: scores of the n known-bad parts, c x n, the candidate in use first; n is at least 2.
        good: scores of the m good parts, c x m.

    Returns:
        the candidate that all parts choose; the mean share of good parts that score lower than a known-bad
        part, with the candidate in use and with the ones chosen by the others; the standard error of the
        difference, over both kinds of parts.
    """
    # Halves, as whole numbers: two candidates that are equally good must be so exactly.
    halves = 2 * (good[:, None, :] < bad[:, :, None]).astype(np.int64) + (good[:, None, :] == bad[:, :, None])
    beaten = halves.sum(2)
    count = beaten.shape[1]
    total = beaten.sum(1)
    chosen = [int(np.argmax(total - beaten[:, part])) for part in range(count)]
    lower = halves / 2.0  # c x n x m
    taken = lower[chosen, np.arange(count)]  # n x m
    difference = taken - lower[0]
    parts, goods = difference.mean(1), difference.mean(0)
    variance = parts.var(ddof=1) / count
    variance += goods.var(ddof=1) / len(goods) if len(goods) > 1 else 0.0
    return int(np.argmax(total)), float(lower[0].mean()), float(taken.mean()), float(np.sqrt(variance))


@torch.no_grad()
def choose_by_known_bad(
    head: ScaledHead,
    bad: Sequence[Tensor],
    good: Sequence[Tensor],
    chosen: MapChoice,
    margin: float | None = MARGIN,
) -> MapChoice:
    """Choose the weights of a head's score and map by known-bad parts, where that is better by the margin.

    A map is judged by its peak, the mean of its largest values, since the place of the defects is not known.

    Weights that the configuration sets are kept.

    Args:
        head: fitted, with the weights that synthetic damage chose; it is changed.
        bad: stacked maps of the known-bad parts, batch by batch, at least ``ENOUGH`` in all.
        good: likewise of good parts that were not trained on.
        chosen: by synthetic damage.
        margin: that a change must gain; None changes to the best weights in any case, for a study.

    Returns:
        the weights in use, with what the known-bad parts say of the "score" and of the "map".
    """
    profiles = PROFILES if head.chooses_stages else (tuple(head.stages),)
    branch_weights = BRANCH_WEIGHTS if head.chooses_branch else (head.abnormality,)
    both = list(product(profiles, branch_weights))
    shares = SHARES if head.prototype_maps else (0.0,)
    weights = [(*each, share) for each in both for share in shares]
    scores = [head.share.clone(), *(head.score_share(*each) for each in weights)]
    kept = (tuple(head.stages), head.abnormality, chosen.prototypes)
    of_score = _choose([kept, *weights], scores, head.share.copy_, head.score, bad, good, margin)
    if of_score.changed:
        head.keep_score_share()

    maps = [head.map_share.clone()]
    maps += [head.map_weights(*each, chosen.density, chosen.lengths) for each in both]
    kept = (chosen.stages, chosen.abnormality, 0.0)
    of_map = _choose(
        [kept, *((*each, 0.0) for each in both)],
        maps,
        head.map_share.copy_,
        head.map_peaks,
        bad,
        good,
        margin,
    )
    return replace(
        chosen,
        stages=of_map.stages,
        abnormality=of_map.abnormality,
        prototypes=of_score.prototypes,
        known_bad={"score": asdict(of_score), "map": asdict(of_map)},
    )


def _choose(
    weights: Sequence[Weights],
    candidates: Sequence[Tensor],
    use: Callable[[Tensor], object],
    score: Callable[[Tensor], Tensor],
    bad: Sequence[Tensor],
    good: Sequence[Tensor],
    margin: float | None,
) -> Choice:
    """Compare candidates, the first of which is in use, and use the best one where it is better enough."""
    found: list[list[Values]] = [[], []]
    for candidate in candidates:
        use(candidate)
        for kind, batches in zip(found, (bad, good), strict=True):
            kind.append(np.concatenate([score(part).double().cpu().numpy() for part in batches]))
    best, before, after, error = cross_validated(np.stack(found[0]), np.stack(found[1]))
    changed = best > 0 and (margin is None or after - before >= max(margin, ERRORS * error))
    index = best if changed else 0
    use(candidates[index])
    stages, abnormality, prototypes = weights[index]
    return Choice(changed, before, after, error, tuple(stages), abnormality, prototypes)
