"""False alarms of a run on good parts that only the camera, the light or the position has changed.

    python benchmarks/accuracy/nuisances.py runs/bottle [runs/screw ...] [--peers out/peers]

The good images that the run was not trained on (held out, and the good test images) and synthetic damage on
them are evaluated unchanged, then under each nuisance. At most 1 % of the unchanged good images exceed the
threshold, so that only the nuisance changes the share above it. Of our runs, the shares above the threshold
that their own held-out images set stand beside.

With ``--peers``, so are anomalib's models that ``benchmarks/peers`` made of the same categories. They were
trained on the held-out images too, so that then all models are evaluated on the good test images alone.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
from peers import declared
from peers.making import made_folder, peer_file

from dmdd_edge.data.datasets import load_category
from dmdd_edge.data.images import read_image
from dmdd_edge.evaluation.test_set import Predictor, predict_all
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.evaluation import holdout_images, threshold_of, torch_predictor
from dmdd_edge.train.places import moved
from dmdd_edge.train.synthesis import foreground
from dmdd_edge.train.synthesis import nuisances as made
from dmdd_edge.train.synthesis.nuisances import Image, Nuisance
from dmdd_edge.train.validation.images import validation_set

_LIBRARIES = ("torch", "timm", "numpy", "opencv-python")
#: Name, kind and amount of each nuisance.
TRIED: tuple[tuple[str, Nuisance, float], ...] = (
    ("JPEG 95", made.jpeg, 95),
    ("JPEG 85", made.jpeg, 85),
    ("JPEG 70", made.jpeg, 70),
    ("light -20 %", made.light, 0.8),
    ("light -10 %", made.light, 0.9),
    ("light +10 %", made.light, 1.1),
    ("light +20 %", made.light, 1.2),
    ("gamma 0.9", made.gamma, 0.9),
    ("blur 0.5 px", made.blur, 0.5),
    ("noise 2", made.noise, 2.0),
    ("zoom 1 %", made.zoom, 1.01),
    ("zoom 2 %", made.zoom, 1.02),
    ("shift 1 %", made.shift, 0.01),
)
OURS = "dmdd-edge"
#: anomalib's models that are measured.
PEERS = ("patchcore", "padim")
#: Share of the unchanged good images above the threshold.
ALPHA = 0.01
#: Damaged images of each kind; their stream of random numbers, which no training uses.
_COUNT, _SEED = 16, 777


def measure(predict: Predictor, good: Image, damaged: Image, own: float | None = None) -> dict[str, Any]:
    """False alarms and finds under each nuisance.

    Args:
        predict: of prepared images.
        good: images of good parts that it was not trained on.
        damaged: with made damage.
        own: the threshold that the run's held-out images set, if it has one.

    Returns:
        ``threshold``, and by nuisance ``false_alarms`` and ``found``, 0..1, ``clean`` first; with ``own``
        also ``own_threshold`` and ``under_own``, likewise.
    """
    scores = {"clean": [predict_all(predict, images)[1] for images in (good, damaged)]}
    for name, change, amount in TRIED:
        scores[name] = [
            predict_all(predict, made.changed(images, change, amount, _SEED))[1] for images in (good, damaged)
        ]

    def above(threshold: float) -> dict[str, dict[str, float]]:
        return {
            name: {
                "false_alarms": round(float((of_good > threshold).mean()), 4),
                "found": round(float((of_damaged > threshold).mean()), 4),
            }
            for name, (of_good, of_damaged) in scores.items()
        }

    threshold = float(np.quantile(scores["clean"][0], 1 - ALPHA, method="higher"))
    counts = {"good": len(good), "damaged": len(damaged)}
    found = {"threshold": round(threshold, 4), **counts, "under": above(threshold)}
    return found if own is None else {**found, "own_threshold": round(own, 4), "under_own": above(own)}


def good_images(run: Run, *, held_out: bool = True) -> Image:
    """The good images that a run was not trained on: those held out, if wanted, and good test images."""
    config = run.config
    category = load_category(config.data, config.category)
    tests = [read_image(item.path, config.preprocess.bits) for item in category.test if item.is_good]
    more = [config.preprocess.prepare(image, config.model.image_size)[None] for image in tests]
    return np.concatenate([*([holdout_images(run)] if held_out else []), *more])


def damaged_images(run: Run, good: Image) -> Image:
    """Synthetic damage on good images."""
    parts = foreground.masks(list(good), run.info["foreground"]["method"])[1]
    test = validation_set(good, parts, seed=_SEED, count=_COUNT)
    return np.asarray(np.asarray(test.images)[test.labels])


def peers_of(work: Path, category: str) -> dict[str, Predictor]:
    """anomalib's models of a category that are in the folder of ``benchmarks/peers``, by their shown name."""
    found = {}
    for name in PEERS:
        peer = declared.PEERS[name]
        file = peer_file(made_folder(work, name, category), peer)
        if file.path.is_file():
            found[peer.shown] = file.batch_predictor(1)
    return found


def main(arguments: Sequence[str] | None = None) -> None:
    """See the module."""
    parser = common.parser(__doc__, "nuisances")
    parser.add_argument("runs", nargs="+", type=Path, help="finished runs")
    parser.add_argument("--data", type=Path, help="data set, where it is not in the place of the training")
    parser.add_argument("--peers", type=Path, help="folder of anomalib's models, made by benchmarks/peers")
    common.keep_option(parser)
    options = parser.parse_args(arguments)
    machine, rows = common.begin(), []
    for folder in options.runs:
        run = moved(load_run(folder), options.data)
        good = good_images(run, held_out=options.peers is None)
        damaged = damaged_images(run, good)
        models = {OURS: torch_predictor(run.model)}
        if options.peers is not None:
            models |= peers_of(options.peers, run.config.category)
        for name, predict in models.items():
            ours, own = {}, None
            if name == OURS:
                ours = {"steps": run.info["steps"], **_of_camera(run)}
                own = threshold_of(run, predict).image
            found = measure(predict, good, damaged, own)
            row = {"category": run.config.category, "model": name, **ours, **found}
            rows.append(row)
            print(json.dumps(row), flush=True)
    if options.keep:
        rows = common.merged(options.out, rows, ("category", "model"))
    settings = {"alpha": ALPHA, "damage_of_each_kind": _COUNT}
    common.write_result(options.out, machine, settings, {"runs": rows}, _LIBRARIES)


def _of_camera(run: Run) -> dict[str, Any]:
    changed = bool(run.info.get("brightness", {}).get("changed"))
    return {
        "nuisances": run.config.synthesis.nuisances,
        "equal_brightness": changed,
        "denoise": run.config.model.denoise,
    }


if __name__ == "__main__":
    main()
