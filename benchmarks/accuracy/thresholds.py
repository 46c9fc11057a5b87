"""The false-alarm rate that a threshold from few good images promises, against the rate on many splits.

    python benchmarks/accuracy/thresholds.py runs/bottle [runs/screw ...]

All good images that a run was not trained on (held out, and the good test images) are split at random: some,
as many as a data set of a given size holds out, set levels and threshold as training does; false alarms are
counted on the others. The student and the weights of its maps are those of the run.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
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

from accuracy import finished
from accuracy.nuisances import good_images
from accuracy.other_scores import stacks
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.data import holdout_count
from dmdd_edge.train.head import ScaledHead
from dmdd_edge.train.places import moved
from dmdd_edge.train.pooled_levels import Peaks, gains_without_own

Order, Scores = NDArray[np.int64], NDArray[np.float32]
_LIBRARIES = ("torch", "numpy")
#: Sizes of the data sets, and shares held out of them: a tenth, and the default.
SIZES, SHARES = (20, 60, 200), (0.1, None)
SPLITS = 200


@torch.no_grad()
def split_scores(head: ScaledHead, trained: Tensor, unseen: Tensor, order: Order, count: int) -> Scores:
    """Scores of good images of which the first set the levels, in this order; their own counts without them.

    Args:
        head: its levels are changed.
        trained: peaks of the trained images, n x K.
        unseen: the head's stacked maps of good images that were not trained on, m x K x s x s.
        order: of those, a permutation of 0..m-1.
        count: how many set levels and threshold.
    """
    images = unseen[torch.from_numpy(order)]
    peaks = Peaks(trained, head.peaks(images[:count]))
    head.set_levels(*peaks.levels())
    scores = head.score(images).numpy()
    scores[:count] += np.asarray(gains_without_own(head, [images[:count]], peaks), np.float32)
    return scores


def outcome(
    scores_of: Callable[[Order, int], Scores], images: int, count: int, splits: int = SPLITS
) -> dict[str, float]:
    """False alarms at thresholds from some of the images, over seeded splits.

    Args:
        scores_of: gives the scores of the images in an order of which the first ones set the threshold.
        images: number of good images, more than ``count``.
        count: how many set the threshold.
        splits: how many times.

    Returns:
        the promised rate, and mean and 90th percentile of the observed rates.
    """
    rates = []
    for seed in range(splits):
        scores = scores_of(np.random.default_rng([seed, count]).permutation(images), count)
        level = threshold_from_normals(scores[:count].tolist()).image
        rates.append(float((scores[count:] > level).mean()))
    return {
        "held_out": count,
        "promised": round(max(1 / (count + 1), 0.01), 4),
        "mean": round(float(np.mean(rates)), 4),
        "worst_tenth": round(float(np.quantile(rates, 0.9)), 4),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = common.parser(__doc__, "thresholds")
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs")
    parser.add_argument("--data", type=Path, help="data set, where it is not in the place of the training")
    options = parser.parse_args(arguments)
    machine = common.begin()
    rows: list[dict[str, Any]] = []
    for folder in options.runs:
        run = moved(load_run(folder), options.data)
        head = run.model.head
        assert isinstance(head, ScaledHead)
        trained = torch.cat([head.peaks(part) for part in stacks(run, finished.good_images(run, "train"))])
        unseen = torch.cat(stacks(run, good_images(run)))
        scores_of = partial(split_scores, head, trained, unseen)
        for size in SIZES:
            for share in SHARES:
                count = holdout_count(size, share)
                if count >= len(unseen):
                    continue  # none would be left to count false alarms on
                row = {"category": run.config.category, "unseen": len(unseen), "good_images": size}
                rows.append({**row, "share": share, **outcome(scores_of, len(unseen), count)})
                print(rows[-1])
    common.write_result(options.out, machine, {"splits": SPLITS}, {"rows": rows}, _LIBRARIES)


if __name__ == "__main__":
    main()
