"""What tiles find in large images: drawn panels at 2048 and 4096 px, and nine screws on a canvas.

    python benchmarks/large/accuracy.py --scratch DIR [--screws mvtec_512/screw] [--only plates2048 ...]

Each set is judged stretched to one input of 256 px, by tiles, and by tiles and the coarse pass. Trainings and
maps are kept in the scratch folder, so that a stopped study continues where it was. The result file has a row
for each way and each kind of score, written after each training.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import torch

from dmdd_edge.train.evaluation import torch_predictor
from large.figures import Judged, judge
from large.passes import all_passed
from large.runs import Length, Variant, trained, variants
from large.sets import Counts

#: Packages whose versions are part of a result.
LIBRARIES = ("torch", "timm", "numpy", "opencv-python")


def measured(variant: Variant, scratch: Path, counts: Counts, length: Length) -> list[dict[str, Any]]:
    """Train a variant, evaluate its set, and give its rows."""
    run = trained(variant, scratch, counts, length)
    preprocess, size = run.config.preprocess, run.config.model.image_size
    tiling = preprocess.tiling
    ways = {variant.label: Judged(None)}
    if tiling is not None:
        ways = {variant.label: Judged(False), f"{variant.label} and coarse": Judged(True)}
    folder = scratch / "maps" / variant.name
    judge(all_passed(torch_predictor(run.model), preprocess, size, variant.images, counts, folder), ways)
    about = {
        "set": variant.images.name,
        "steps": run.info["steps"],
        "trained": len(run.info["train"]),
        "seed": run.config.seed,
        "tile": None if tiling is None else tiling.tile,
        "overlap": None if tiling is None else tiling.overlap,
        "coarse_gain": None if tiling is None else tiling.coarse_gain,
    }
    return [about | {"way": label} | row for label, way in ways.items() for row in way.rows()]


def add_counts(parser: ArgumentParser) -> None:
    """Add an option for each of ``Counts``."""
    for name, default in vars(Counts()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)


def counts_of(options: Namespace) -> Counts:
    """The numbers of images that the options give."""
    return Counts(*(getattr(options, name) for name in vars(Counts())))


def main() -> None:
    """Measure each requested variant that the result file has not yet with the same settings."""
    parser = common.parser(__doc__, "large_accuracy")
    parser.add_argument("--scratch", type=Path, required=True, help="folder of images, runs and maps")
    parser.add_argument("--screws", type=Path, help="folder of MVTec AD's screw at 512 px or more")
    parser.add_argument("--only", nargs="*", help="names of runs, such as plates2048-tiles-512")
    parser.add_argument("--steps", type=int, default=Length.steps)
    parser.add_argument("--batch-size", type=int, default=Length.batch_size)
    add_counts(parser)
    options = parser.parse_args()
    machine = common.begin()
    cv2.setNumThreads(1)
    torch.set_num_threads(1)
    counts = counts_of(options)
    length = Length(options.steps, options.batch_size)
    settings = {**vars(length), **vars(counts), "backbone": "efficientnet_lite0", "image_size": 256}
    rows: list[dict[str, Any]] = []
    if options.out.exists():
        before = json.loads(options.out.read_text(encoding="utf-8"))
        rows = before["figures"]["rows"] if before["settings"] == settings else []
    for variant in variants(options.screws):
        if options.only and variant.name not in options.only:
            continue
        if any(row["run"] == variant.name for row in rows):
            continue
        rows += [{"run": variant.name, **row} for row in measured(variant, options.scratch, counts, length)]
        common.write_result(options.out, machine, settings, {"rows": rows}, LIBRARIES)


if __name__ == "__main__":
    main()
