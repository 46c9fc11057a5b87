"""Other scores from the networks of finished runs: limits of what one map adds, scores of the joined map.

    python benchmarks/accuracy/other_scores.py runs/screw [runs/bottle ...]

Nothing is trained. The scaled head's score is the weighted mean of z-values of the maps' peaks. Here each
z-value is limited, or grows more slowly, or the values of all maps are joined at each place before the peak
is taken. Each row has the error on synthetic damage on held-out good images (it decides) and the image AUROC
of the test images (it decides nothing), with what both find above the highest held-out good image.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from accuracy.finished import damage_and_test, good_images, study
from dmdd_edge.data.datasets import GOOD
from dmdd_edge.evaluation.ranking import Ranking
from dmdd_edge.train.checkpoint import Run
from dmdd_edge.train.features import to_input
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.score_choice import image_error

Image = NDArray[np.uint8]
Scores = NDArray[np.float32]
#: Scores of stacked maps, N x K x s x s to N.
Score = Callable[[Tensor], Tensor]

#: Damaged images of each kind.
_COUNT, _BATCH = 32, 8
_LIMITS, _FLOOR = (2.0, 3.0, 5.0, 8.0), 0.03
_PEAKS, _JOINED, _MAP = "as it is", "z joined at each place", "peak of the map"
_LOGARITHM = "logarithm of peak over level"


def candidates(head: ScaledHead) -> dict[str, Score]:
    """Scores by name."""

    def z(stacked: Tensor) -> Tensor:
        return (head.peaks(stacked) - head.level) / head.spread

    def logarithm(stacked: Tensor) -> Tensor:
        return torch.log(head.peaks(stacked) / head.level + _FLOOR)

    def mean(values: Callable[[Tensor], Tensor]) -> Score:
        return lambda stacked: (values(stacked) * head.share).sum(1)

    def limited(limit: float) -> Score:
        return mean(lambda stacked: z(stacked).clamp(max=limit))

    def slowed(limit: float) -> Score:
        return mean(lambda stacked: slower(z(stacked), limit))

    def joined(limit: float) -> Score:
        level, spread, share = (each[:, None, None] for each in (head.level, head.spread, head.share))

        def score(stacked: Tensor) -> Tensor:
            values = ((stacked - level) / spread).clamp(max=limit) * share
            return head.peaks(values.sum(1, keepdim=True))[:, 0]

        return score

    def of_the_map(stacked: Tensor) -> Tensor:
        peaks = head.map_peaks(stacked)
        return peaks / (1.0 - peaks)

    return {
        _PEAKS: mean(z),
        **{f"z at most {limit:g}": limited(limit) for limit in _LIMITS},
        **{f"z slower above {limit:g}": slowed(limit) for limit in _LIMITS},
        _LOGARITHM: mean(logarithm),
        _JOINED: joined(math.inf),
        **{f"z at most {limit:g}, joined at each place": joined(limit) for limit in _LIMITS},
        _MAP: of_the_map,
    }


def slower(z: Tensor, limit: float) -> Tensor:
    """Z-values that grow as a logarithm above a limit."""
    return torch.where(z > limit, limit * (1.0 + (z / limit).clamp(min=1.0).log()), z)


def mixes(scores: Mapping[str, Mapping[str, Scores]], held_out: int) -> dict[str, dict[str, Scores]]:
    """Means of two scores, each over its mean and deviation on the held-out good images.

    Args:
        scores: by name, of the sets "validation", whose first images are the held-out ones, and "test".
        held_out: how many those are.
    """
    made = {}
    for name in (_JOINED, "z at most 5, joined at each place", _MAP, _LOGARITHM):
        both: dict[str, Scores] = {}
        for where in scores[_PEAKS]:
            parts = []
            for each in (_PEAKS, name):
                good = scores[each]["validation"][:held_out]
                parts.append((scores[each][where] - np.median(good)) / max(float(good.std()), 1e-9))
            both[where] = np.asarray((parts[0] + parts[1]) / 2, np.float32)
        made[f"half {_PEAKS}, half {name}"] = both
    return made


@torch.no_grad()
def stacks(run: Run, images: Image) -> list[Tensor]:
    """The head's stacked maps, batch by batch."""
    head = run.model.head
    assert isinstance(head, ScaledHead)
    found, images = [], run.model.as_seen(images)
    for start in range(0, len(images), _BATCH):
        x = run.model.normalize(to_input(images[start : start + _BATCH], torch.device("cpu")))
        found.append(head.stack(run.model.distances(run.model.teacher(x), run.model.student(x))))
    return found


def figures(scores: Scores, kinds: Sequence[str], limit: float) -> dict[str, Any]:
    """Of one score on one set: the error, the image AUROC, and the share above a limit; by kind too.

    Args:
        scores: of the images.
        kinds: kind of defect of each, or "good".
        limit: the highest score of a held-out good image.
    """
    names = np.asarray(kinds)
    good, bad = np.sort(scores[names == GOOD]), scores[names != GOOD]

    def auroc(some: Scores) -> float | None:
        ranked = Ranking.of(some, [good])
        return None if ranked is None else round(ranked.auroc(), 5)

    return {
        "error": round(image_error(scores, names), 5),
        "image_auroc": auroc(bad),
        "above": round(float((bad > limit).mean()), 4),
        "kinds": {kind: auroc(scores[names == kind]) for kind in dict.fromkeys(kinds) if kind != GOOD},
    }


def measure(run: Run) -> dict[str, Any]:
    """All rows of a run."""
    head = run.model.head
    assert isinstance(head, ScaledHead)
    held_out = good_images(run, "holdout")
    sets = damage_and_test(run, held_out, _COUNT)
    maps = {where: stacks(run, np.asarray(test.images)) for where, test in sets.items()}
    scores = {
        name: {where: np.concatenate([score(part).numpy() for part in maps[where]]) for where in sets}
        for name, score in candidates(head).items()
    }
    rows = {}
    for name, found in {**scores, **mixes(scores, len(held_out))}.items():
        limit = float(found["validation"][: len(held_out)].max())
        rows[name] = {where: figures(found[where], test.defects, limit) for where, test in sets.items()}
        brief = [
            (where, each["error"], each["image_auroc"], each["above"]) for where, each in rows[name].items()
        ]
        print(name, *brief, flush=True)
    return {"held_out": len(held_out), "rows": rows}


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    study(__doc__, "other_scores", measure, {"damage_of_each_kind": _COUNT}, arguments)


if __name__ == "__main__":
    main()
