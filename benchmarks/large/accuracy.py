"""What tiles find in large images: drawn panels at 2048 and 4096 px, and nine screws on a canvas.

    python benchmarks/large/accuracy.py --scratch DIR [--screws mvtec_512/screw] [--only plates2048 ...]

Each set is judged stretched to one input of 256 px, by tiles, and by tiles and the coarse pass: with the
score that ``--score auto`` takes on the held-out images, and where that is by place also with the map.
Trainings and maps are kept in the scratch folder, so that a stopped study continues where it was. The
result file has a row for each way, written after each training; one that it has is not measured again.
"""

from __future__ import annotations

import json
import sys
from argparse import ArgumentParser, Namespace
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[1])

import common
import cv2
import torch

from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.export.parity import onnx_predictor
from large.decided import in_files, remembered, ways_of
from large.figures import auroc_of_several, judge
from large.passes import all_passed
from large.runs import Length, Variant, trained, variants
from large.sets import ALONG, Counts

#: Packages whose versions are part of a result.
LIBRARIES = ("torch", "timm", "onnxruntime", "numpy", "opencv-python")


def measured(variant: Variant, scratch: Path, counts: Counts, length: Length) -> list[dict[str, Any]]:
    """Train a variant, evaluate its set, and give its rows."""
    run = trained(variant, scratch, counts, length)
    preprocess, size = run.config.preprocess, run.config.model.image_size
    tiling, images = preprocess.tiling, variant.images
    if tiling is not None and variant.network is not None:
        tiling = tiling.model_copy(update={"coarse": False})
        preprocess = preprocess.model_copy(update={"tiling": tiling})
    graph = run.folder / "graph.onnx"
    if not graph.exists():
        write_onnx(DeploymentGraph(run.model), graph, size)
    predict = onnx_predictor(graph)
    held = in_files([item for item in images.items(counts) if item.held_out], scratch / "held" / images.name)
    tests = [item for item in images.items(counts) if not item.held_out]
    folder = scratch / "maps" / variant.name
    # The same inputs are needed again for the decision on the score.
    known = remembered(predict)
    pass_held = partial(all_passed, known, preprocess, size, list(held.values()), folder)
    for _ in pass_held():
        pass
    paths = {item.name: Path(path) for path, item in held.items()}
    ways = ways_of(variant.label, preprocess, size, known, pass_held, paths, run.config.seed)
    judge(chain(pass_held(), all_passed(predict, preprocess, size, tests, folder)), ways)
    about = {
        "set": images.name,
        "steps": run.info["steps"],
        "batch_size": run.config.batch_size,
        "trained": len(run.info["train"]),
        "seed": run.config.seed,
        "tile": None if tiling is None else tiling.tile,
        "overlap": None if tiling is None else tiling.overlap,
        "margin": None if tiling is None else tiling.margin,
        "coarse_gain": None if tiling is None else tiling.coarse_gain,
    }
    rows = [about | way.row() for way in ways]
    if images.name == "screw1":
        bad = [v for name, found in ways[0].scores.items() if name not in ("held out", "good") for v in found]
        rows[0]["image_auroc_of_nine"] = auroc_of_several(bad, ways[0].scores["good"], ALONG**2)
    return rows


def add_counts(parser: ArgumentParser) -> None:
    """Add an option for each of ``Counts``."""
    for name, default in vars(Counts()).items():
        parser.add_argument(f"--{name.replace('_', '-')}", type=int, default=default)


def counts_of(options: Namespace) -> Counts:
    """The numbers of images that the options give."""
    return Counts(*(getattr(options, name) for name in vars(Counts())))


def main() -> None:
    """Measure each requested variant that the result file has not yet."""
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
    settings = {"backbone": "efficientnet_lite0", "image_size": 256}
    rows: list[dict[str, Any]] = []
    if options.out.exists():
        rows = json.loads(options.out.read_text(encoding="utf-8"))["figures"]["rows"]
    for variant in variants(options.screws):
        if options.only and variant.name not in options.only:
            continue
        if any(row["run"] == variant.name for row in rows):
            continue
        rows += [{"run": variant.name, **row} for row in measured(variant, options.scratch, counts, length)]
        common.write_result(options.out, machine, settings, {"rows": rows}, LIBRARIES)


if __name__ == "__main__":
    main()
