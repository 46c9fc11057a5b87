"""Which score of a tiled image decides better, and what the overlap and the gain of the coarse map change.

    python benchmarks/large/score.py --scratch DIR [--only plates2048-tiles-512 ...]

Takes the runs and the maps that ``accuracy.py`` keeps. The good images are divided into held-out and tested
ones in 200 seeded ways; the threshold is the order statistic of the held-out ones at 1 %, and the figures are
means over the ways. An overlap whose tiles are at other places is passed through the network once.
"""

from __future__ import annotations

import sys
from argparse import Namespace
from collections.abc import Sequence
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import numpy as np
import torch

from dmdd_edge.bundle.threshold import threshold_from_normals
from dmdd_edge.data.tiles import top_mean
from dmdd_edge.train.checkpoint import load_run
from dmdd_edge.train.coarse_gain import gain_of
from dmdd_edge.train.evaluation import torch_predictor
from dmdd_edge.train.run_folder import state_of
from large.accuracy import LIBRARIES, add_counts, counts_of
from large.figures import ALPHA, SCORES, auroc
from large.passes import Maps, Passed, all_passed, with_tiling
from large.runs import Variant, variants
from large.sets import Counts

#: Overlaps in source pixels, and factors on the gain that the training measured.
OVERLAPS = (0, 32, 64, 128)
FACTORS = (0.1, 0.3, 1.0, 3.0, 10.0)

#: Seeded divisions of the good images, and the share of them that is held out.
SPLITS, HELD_OUT = 200, 0.8

#: Of a score by place: the share of the held-out images that give the levels, and its largest values.
LEARNED, PLACE_PIXELS = 2 / 3, 25

#: By type, "good" among them, the scores of the images.
Scores = dict[str, list[float]]


def split_figures(scores: Scores, splits: int = SPLITS) -> dict[str, Any]:
    """Means over seeded divisions of the good images.

    Args:
        scores: of all good images, and of each type of defect.
        splits: number of divisions.

    Returns:
        I-AUROC, the share of good test images above the threshold, and of each type of defect.
    """
    good = np.array(scores["good"])
    bad = {name: np.array(values) for name, values in scores.items() if name != "good"}
    held = round(HELD_OUT * len(good))
    false: list[float] = []
    found: dict[str, list[float]] = {name: [] for name in bad}
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(good))
        level = threshold_from_normals(good[order[:held]].tolist(), ALPHA).image
        false.append(float((good[order[held:]] > level).mean()))
        for name, values in bad.items():
            found[name].append(float((values > level).mean()))
    return {
        "image_auroc": auroc([float(value) for values in bad.values() for value in values], scores["good"]),
        "false_alarms": round(float(np.mean(false)), 4),
        "found": {name: round(float(np.mean(values)), 4) for name, values in found.items()},
    }


def score_rows(
    variant: Variant, scratch: Path, counts: Counts, overlaps: tuple[int, ...]
) -> list[dict[str, Any]]:
    """The figures of one run for every overlap, kind of score and gain; none where it has no tiles."""
    run = load_run(scratch / "runs" / variant.name)
    trained = run.config.preprocess.tiling
    if trained is None:
        return []
    size, predict = run.config.model.image_size, torch_predictor(run.model)
    own = run.config.preprocess
    shape = next(iter(variant.images.items(counts))).make()[0].shape
    places = own.geometry(shape, size).layout.places
    rows = []
    for overlap in overlaps:
        if 2 * overlap >= trained.tile:
            continue
        preprocess = with_tiling(own, trained.model_copy(update={"overlap": overlap}))
        same = preprocess.geometry(shape, size).layout.places == places
        folder = scratch / "maps" / (variant.name if same else f"{variant.name}-overlap{overlap}")
        images = all_passed(predict, preprocess, size, variant.images, counts, folder)
        factors = FACTORS if overlap == trained.overlap else (1.0,)
        kept = list(images)
        if overlap == trained.overlap:
            by_place = place_scores(kept, round(LEARNED * counts.held_out))
            rows += [
                {"run": variant.name, "overlap": overlap, "score": kind, "by_place": True}
                | split_figures(scores)
                for kind, scores in by_place.items()
            ]
        for (kind, coarse, factor), scores in _scores(kept, factors).items():
            rows.append(
                {
                    "run": variant.name,
                    "overlap": overlap,
                    "score": kind,
                    "coarse": coarse,
                    "gain_factor": factor,
                    **split_figures(scores),
                }
            )
    return rows


def _scores(
    images: Sequence[Passed], factors: tuple[float, ...]
) -> dict[tuple[str, str, float | None], Scores]:
    """The scores of all images by kind, by what of the coarse pass takes part, and by the factor on its gain.

    The level of the score of the whole image is that of the held-out images, as training measures it.
    """
    found: dict[tuple[str, str, float | None], Scores] = {}
    held = [one for one in images if one.held_out]
    coarse = [float(one.scores[-1]) for one in held]
    for kind in SCORES:
        own = [one.joined(coarse=False, score=kind)[1] for one in held]
        level = gain_of(own, coarse)
        tiling = held[0].geometry.layout.tiling
        assert tiling is not None
        ways: dict[tuple[str, float | None], dict[str, Any]] = {("", None): {"coarse": False}}
        # The gain of the map has no effect on the highest score of the tiles.
        for times in factors if kind == "map" else (1.0,):
            gain = tiling.coarse_gain * times
            ways["map", times] = {"coarse": True, "coarse_gain": gain, "coarse_score_gain": None}
        ways["map and score", 1.0] = {"coarse": True, "coarse_score_gain": level}
        for one in images:
            for (part, factor), changes in ways.items():
                score = one.joined(score=kind, **changes)[1]
                found.setdefault((kind, part, factor), {}).setdefault(one.defect, []).append(score)
    return found


def place_scores(images: Sequence[Passed], learned: int) -> dict[str, Scores]:
    """Scores beside what good parts have at the same place, which suits parts that are always at one place.

    Args:
        images: all images; the first held-out ones give the level of each place and have no score.
        learned: number of these.

    Returns:
        the scores by "map" and "map by place". The latter are of the odds of the map over the highest odds
        that the learned images have within four pixels of the view.
    """
    logs = [_log_odds(one.joined(coarse=False)[0]) for one in images if one.held_out][:learned]
    level = cv2.dilate(np.max(logs, axis=0), np.ones((9, 9), np.uint8))
    found: dict[str, Scores] = {"map": {}, "map by place": {}}
    left = learned
    for one in images:
        if one.held_out and left:
            left -= 1
            continue
        joined = _log_odds(one.joined(coarse=False)[0])
        for kind, values in (("map", joined), ("map by place", joined - level)):
            score = 1 / (1 + np.exp(-top_mean(values, PLACE_PIXELS)))
            found[kind].setdefault(one.defect, []).append(float(score))
    return found


def _log_odds(values: Maps) -> Maps:
    clipped = np.clip(values, 1e-6, 1 - 1e-6)
    return np.asarray(np.log(clipped / (1 - clipped)), np.float32)


def main() -> None:
    """Measure every tiled run that is finished."""
    parser = common.parser(__doc__, "large_score")
    parser.add_argument("--scratch", type=Path, required=True, help="folder of images, runs and maps")
    parser.add_argument("--screws", type=Path, help="folder of MVTec AD's screw at 512 px or more")
    parser.add_argument("--only", nargs="*", help="names of runs, such as plates2048-tiles-512")
    parser.add_argument("--overlaps", nargs="*", type=int, default=OVERLAPS)
    add_counts(parser)
    options: Namespace = parser.parse_args()
    machine = common.begin()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    counts = counts_of(options)
    rows: list[dict[str, Any]] = []
    for variant in variants(options.screws):
        finished = state_of(options.scratch / "runs" / variant.name) in ("trained", "finished")
        if finished and (not options.only or variant.name in options.only):
            rows += score_rows(variant, options.scratch, counts, tuple(options.overlaps))
    settings = {
        "splits": SPLITS,
        "held_out_share": HELD_OUT,
        "overlaps": list(options.overlaps),
        **vars(counts),
    }
    common.write_result(options.out, machine, settings, {"rows": rows}, LIBRARIES)


if __name__ == "__main__":
    main()
