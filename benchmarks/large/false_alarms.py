"""How many good parts a threshold of large images rejects, over seeded divisions of them.

    python benchmarks/large/false_alarms.py --scratch DIR [--images 240] [--size 1024] [--tile 256]

Trains on drawn panels once, and scores further good panels, each drawn from separate numbers; the scores stay
in the scratch folder. Half of the good images then set the threshold and the other half are judged, in 50
seeded ways: by the threshold of whole images, as the product does, and for comparison by a threshold from the
scores of single tiles, which rejects a part as soon as one of its many tiles is above. With ``--generated``
the maps are drawn too, which shows the statistics of joined maps without a network.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import cv2
import numpy as np
from common import begin, parser, write_result

from dmdd_edge import TrainOptions, train_detector
from dmdd_edge.bundle.threshold import map_peak, threshold_from_normals
from dmdd_edge.data.preprocess import Preprocess
from dmdd_edge.data.tiles import Tiling
from dmdd_edge.evaluation.test_set import Predictor
from dmdd_edge.sample.panel import Panel
from dmdd_edge.storage import write_atomically
from dmdd_edge.train.checkpoint import Run, load_run
from dmdd_edge.train.evaluation import torch_predictor
from dmdd_edge.train.run_folder import state_of
from dmdd_edge.train.tile_choice import margin_of, usual_overlap
from large.mean_maps import MOST, MeanMaps

RATES = (0.01, 0.02, 0.05, 0.1)
SPLITS = 50
_TRAINED = 24
#: File of the mean maps, which ``borders.py`` looks at.
MEANS = "means.npz"


def draw(panel: Panel, number: int) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """The good panel of this number."""
    return panel.draw(np.random.default_rng([31, number]), np.random.default_rng(0), None)[0]


def trained(scratch: Path, panel: Panel, **options: Any) -> Run:
    """The run, trained on panels that are not scored, unless it is there.

    Its tiles overlap as ``train`` has it now, which changes how maps are joined, not the network.
    """
    folder = scratch / "data"
    if state_of(scratch / "runs" / "alarms") not in ("trained", "finished"):
        folder.mkdir(parents=True, exist_ok=True)
        for number in range(_TRAINED):
            cv2.imwrite(str(folder / f"{number:03d}.png"), draw(panel, 10_000 + number))
        train_detector(
            TrainOptions(
                data=folder,
                run="alarms",
                runs_dir=scratch / "runs",
                holdout=0.1,
                overwrite=True,
                **options,
            )
        )
    run = load_run(scratch / "runs" / "alarms")
    tiling = run.config.preprocess.tiling
    assert tiling is not None
    usual = usual_overlap(tiling.tile)
    now = tiling.model_copy(update={"overlap": usual, "margin": margin_of(usual)})
    preprocess = run.config.preprocess.model_copy(update={"tiling": now})
    return replace(run, config=run.config.model_copy(update={"preprocess": preprocess}))


def score(
    run: Run, predict: Predictor, image: np.ndarray[Any, np.dtype[np.uint8]], means: MeanMaps
) -> dict[str, Any]:
    """Score of the joined map, and the peak of each tile's own map; the first maps are added to ``means``."""
    config = run.config
    view = config.preprocess.prepare(image, config.model.image_size)
    layout = config.preprocess.geometry(image.shape, config.model.image_size).layout
    parts = [predict(layout.cut(view, start, start + 8)) for start in range(0, layout.count, 8)]
    maps, scores = (np.concatenate([part[index] for part in parts]) for index in (0, 1))
    if means.count < MOST:
        means.add(layout, maps, scores)
    tiles = [round(map_peak(item), 6) for item in maps]
    return {"whole": layout.join(maps, scores)[1], "tiles": tiles}


def scored(run: Run, panel: Panel, count: int, kept: Path) -> list[dict[str, Any]]:
    """The scores of the first good panels, continued from what is kept."""
    found: list[dict[str, Any]] = json.loads(kept.read_text()) if kept.is_file() else []
    means = MeanMaps.read(kept.with_name(MEANS))
    predict = torch_predictor(run.model)
    while len(found) < count:
        began = time.monotonic()
        new = means.count == len(found) and means.count < MOST
        found.append(score(run, predict, draw(panel, len(found)), means))
        if new:
            means.write(kept.with_name(MEANS))
        print(
            f"{len(found)} of {count}: {found[-1]['whole']:.4f}, {time.monotonic() - began:.1f} s", flush=True
        )
        write_atomically(kept, json.dumps(found))
    return found[:count]


def generated(count: int) -> list[dict[str, Any]]:
    """Parts whose maps are drawn instead of computed: logistic noise, some parts and tiles above others.

    The tiles of a part are joined as those of an image of 520 x 400 pixels with tiles of 64.
    """
    preprocess = Preprocess(tiling=Tiling(tile=64, overlap=8))
    layout = preprocess.geometry((400, 520), 64).layout
    parts = []
    for number in range(count):
        rng = np.random.default_rng([33, number])
        of_tile = rng.normal(0, 0.4, (layout.count, 1, 1)) + rng.normal(-4, 0.5)
        noise = [
            cv2.resize(rng.normal(0, 1, (16, 16)), (64, 64), interpolation=cv2.INTER_CUBIC) for _ in of_tile
        ]
        maps = (1 / (1 + np.exp(-(np.stack(noise) + of_tile)))).astype(np.float32)
        peaks = [round(map_peak(item), 6) for item in maps]
        whole = layout.join(maps, np.array(peaks, np.float32))[1]
        parts.append({"whole": whole, "tiles": peaks})
    return parts


def false_alarms(parts: list[dict[str, Any]], alpha: float, splits: int = SPLITS) -> dict[str, Any]:
    """Shares of good parts above the threshold, over seeded divisions into halves.

    Args:
        parts: as ``score`` gives them.
        alpha: stated false-alarm rate.
        splits: number of divisions.

    Returns:
        means over the divisions with thresholds from whole images, with their lowest and highest, and from
        single tiles; and the rate that the number of held-out images supports.
    """
    whole = np.array([part["whole"] for part in parts])
    highest = np.array([max(part["tiles"]) for part in parts])
    half = len(parts) // 2
    by_whole, by_tiles = [], []
    for seed in range(splits):
        order = np.random.default_rng([20, seed]).permutation(len(parts))
        held, tested = order[:half], order[half:]
        level = threshold_from_normals(whole[held].tolist(), alpha).image
        by_whole.append(float((whole[tested] > level).mean()))
        pooled = [value for index in held for value in parts[index]["tiles"]]
        level = threshold_from_normals(pooled, alpha).image
        by_tiles.append(float((highest[tested] > level).mean()))
    promised = threshold_from_normals(whole[:half].tolist(), alpha)
    return {
        "stated": alpha,
        "attainable": round(max(alpha, promised.attainable), 4),
        "whole_images": round(float(np.mean(by_whole)), 4),
        "whole_images_lowest": round(min(by_whole), 4),
        "whole_images_highest": round(max(by_whole), 4),
        "single_tiles": round(float(np.mean(by_tiles)), 4),
    }


def main() -> None:
    """Train, score, divide."""
    options = parser(__doc__, "large_false_alarms")
    options.add_argument("--scratch", type=Path, help="folder for images, run and scores")
    options.add_argument(
        "--generated", action="store_true", help="draw the maps too; no network, done in a minute"
    )
    options.add_argument("--images", type=int, default=240, help="good images that are scored")
    options.add_argument("--size", type=int, default=1024, help="side of the panels in pixels")
    options.add_argument("--tile", type=int, default=256)
    options.add_argument("--steps", type=int, default=240)
    options.add_argument("--batch-size", type=int, default=8, help="image pairs of a step")
    options.add_argument("--image-size", type=int, default=256, help="side of the network's input")
    given = options.parse_args()
    machine = begin()
    settings = {"images": given.images, "splits": SPLITS, "generated": given.generated}
    if given.generated:
        parts = generated(given.images)
    elif given.scratch is None:
        options.error("--scratch is missing")
    else:
        panel = Panel(given.size, given.size)
        options_of_training = {"tile": str(given.tile)} | {
            key: getattr(given, key) for key in ("steps", "batch_size", "image_size")
        }
        run = trained(given.scratch, panel, **options_of_training)
        parts = scored(run, panel, given.images, given.scratch / "scores.json")
        settings |= {"size": given.size, **options_of_training}
    rows = [false_alarms(parts, rate) for rate in RATES]
    for row in rows:
        print(row)
    figures = {"tiles_each": len(parts[0]["tiles"]), "rates": rows}
    write_result(given.out, machine, settings, figures, ["torch", "numpy", "opencv-python"])


if __name__ == "__main__":
    main()
