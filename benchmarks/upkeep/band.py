"""What two thresholds at two false-alarm rates promise, against what they do on unseen parts.

    python benchmarks/upkeep/band.py runs/bottle models/bottle [runs/screw models/screw ...]

The good images that a run was not trained on (held out, and the good test images) are scored by the exported
bundle and split at random, 200 times: some set both thresholds, the others count how many good parts are
anomalous and suspect. The same thresholds decide on the defective test images. Each with and without a
smallest area of a region.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common

from dmdd_edge.bundle.calibration import combined_threshold
from dmdd_edge.bundle.gate import Gate, reach
from dmdd_edge.bundle.threshold import Threshold, map_peak, rank, threshold_from_normals
from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.images import read_image
from dmdd_edge.runtime.detector import Detector
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.places import moved

_LIBRARIES = ("numpy", "onnxruntime")
SPLITS = 200
#: False-alarm rate, rate of the lower threshold, and how many good images set them.
CASES = ((0.01, 0.05, 39), (0.05, 0.2, 25), (0.1, 0.3, 25))
#: Smallest areas in pixels of the source image; the first is none.
AREAS = ("0", "100px", "400px", "1600px")


@dataclass(frozen=True)
class Part:
    """What the decision on an image needs.

    Attributes:
        score: 0..1.
        peak: of its map.
        reaches: of its map, for each of ``AREAS``.
    """

    score: float
    peak: float
    reaches: tuple[float, ...]


def score(detector: Detector, paths: Iterable[Path]) -> list[Part]:
    """Score images with a bundle."""
    manifest = detector.bundle.manifest
    parts = []
    for path in paths:
        image = read_image(path, manifest.preprocess.bits)
        result = detector(image)
        pixels = manifest.preprocess.geometry(image.shape, manifest.image_size).source_pixels
        reaches = (reach(result.anomaly_map, pixels, Gate(min_area=area)) for area in AREAS)
        parts.append(Part(result.score, map_peak(result.anomaly_map), tuple(reaches)))
    return parts


def outcome(
    exported: Threshold, good: Sequence[Part], bad: Sequence[Part], case: tuple[float, float, int], area: int
) -> dict[str, Any]:
    """Decisions at thresholds from some of the good parts, over seeded splits.

    Args:
        exported: the bundle's threshold, which says whether the map has its own.
        good: unseen good parts; more than the case's count.
        bad: defective parts.
        case: one of ``CASES``.
        area: index of one of ``AREAS``.
    """
    alpha, suspect_rate, count = case
    shares: dict[str, list[float]] = {}
    for seed in range(SPLITS):
        order = np.random.default_rng([seed, count]).permutation(len(good))
        chosen, rest = [good[i] for i in order[:count]], [good[i] for i in order[count:]]
        peaks = [part.peak for part in chosen] if exported.pixel != exported.image else None
        known = threshold_from_normals(
            [part.score for part in chosen], alpha, peaks=peaks, suspect_rate=suspect_rate
        )
        rule = combined_threshold(exported, known, Gate(min_area=AREAS[area]))
        for name, parts in (("good", rest), ("bad", bad)):
            found = [rule.decide_reach(part.score, part.reaches[area]) for part in parts]
            for status in ("anomalous", "suspect"):
                shares.setdefault(f"{name}_{status}", []).append(found.count(status) / len(found))
    both = np.add(shares["good_anomalous"], shares["good_suspect"])
    return {
        "false_alarm_rate": alpha,
        "suspect_rate": suspect_rate,
        "normals": count,
        "min_area": AREAS[area],
        # What exchangeable parts do on average, without ties: the ranks above which a further part can be.
        "expected_anomalous": round((count + 1 - rank(count, alpha)) / (count + 1), 4),
        "expected_not_good": round((count + 1 - rank(count, suspect_rate)) / (count + 1), 4),
        **{name: round(float(np.mean(values)), 4) for name, values in shares.items()},
        "good_not_good": round(float(both.mean()), 4),
        "good_anomalous_error": round(float(np.std(shares["good_anomalous"]) / SPLITS**0.5), 4),
        "good_not_good_error": round(float(np.std(both) / SPLITS**0.5), 4),
    }


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = common.parser(__doc__, "upkeep_band")
    parser.add_argument("places", nargs="+", type=Path, help="a finished run and its bundle, in turn")
    parser.add_argument("--data", type=Path, help="data set, where it is not in the place of the training")
    options = parser.parse_args(arguments)
    machine = common.begin()
    rows: list[dict[str, Any]] = []
    for folder, model in zip(options.places[::2], options.places[1::2], strict=True):
        run = moved(load_run(folder), options.data)
        category = load_category(run.config.data, run.config.category)
        held_out = [category.root / name for name in run.info["holdout"]]
        with Detector.load(model, "cpu") as detector:
            good = score(detector, [*held_out, *(item.path for item in category.test if item.is_good)])
            bad = score(detector, [item.path for item in category.test if not item.is_good])
        exported = detector.bundle.manifest.threshold
        for case, area in itertools.product(CASES, range(len(AREAS))):
            if case[2] >= len(good):
                continue  # none would be left to count on
            row = {"category": run.config.category, "unseen": len(good), "defective": len(bad)}
            rows.append({**row, **outcome(exported, good, bad, case, area)})
            print(rows[-1])
    common.write_result(options.out, machine, {"splits": SPLITS}, {"rows": rows}, _LIBRARIES)


if __name__ == "__main__":
    main()
