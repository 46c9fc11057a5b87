"""The false-alarm rate that a threshold from few good images promises, against the rate on many splits.

    python benchmarks/accuracy/thresholds.py runs/bottle [runs/screw ...]

The scores of all good images that a run was not trained on (held out, and the good test images) are split at
random: some set the threshold, as many as a data set of a given size holds out; false alarms are counted on
the others.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from accuracy.nuisances import good_images
from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.evaluation.test_set import predict_all
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.data import holdout_count
from dmdd_edge.train.evaluation import torch_predictor
from dmdd_edge.train.places import moved

_LIBRARIES = ("torch", "numpy")
#: Sizes of the data sets, and shares held out of them: a tenth, and the default.
SIZES, SHARES = (20, 60, 200), (0.1, None)
SPLITS = 200


def outcome(scores: NDArray[np.float32], count: int, splits: int = SPLITS) -> dict[str, float]:
    """False alarms at thresholds from some of the scores, over seeded splits.

    Args:
        scores: of good images; more than ``count``.
        count: how many set the threshold.
        splits: how many times.

    Returns:
        the promised rate, and mean and 90th percentile of the observed rates.
    """
    rates = []
    for seed in range(splits):
        order = np.random.default_rng([seed, count]).permutation(len(scores))
        level = threshold_from_normals(scores[order[:count]].tolist()).image
        rates.append(float((scores[order[count:]] > level).mean()))
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
    common.keep_option(parser)
    options = parser.parse_args(arguments)
    machine = common.begin()
    rows: list[dict[str, Any]] = []
    for folder in options.runs:
        run = moved(load_run(folder), options.data)
        scores = predict_all(torch_predictor(run.model), good_images(run))[1]
        for size in SIZES:
            for share in SHARES:
                count = holdout_count(size, share)
                if count >= len(scores):
                    continue  # none would be left to count false alarms on
                row = {"category": run.config.category, "unseen": len(scores), "good_images": size}
                rows.append({**row, "share": share, **outcome(scores, count)})
                print(rows[-1])
    if options.keep:
        rows = common.merged(options.out, rows, ("category", "good_images", "share"), "rows")
    common.write_result(options.out, machine, {"splits": SPLITS}, {"rows": rows}, _LIBRARIES)


if __name__ == "__main__":
    main()
