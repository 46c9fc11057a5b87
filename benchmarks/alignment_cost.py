"""Measure what rotating images of loose parts costs: the fused graph with and without it, interleaved.

Both fp32 graphs are of one untrained model (see ``untrained.py``), opened with the runtime's session options,
on the same image in one process. The ratio is that of the medians.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from pathlib import Path

import common
import numpy as np
from alternating import BLOCKS, alternate, block_ratios
from untrained import build

from dmdd_edge.cores import usable_cores
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.runtime.backends.onnxruntime_session import import_onnxruntime, session_options

onnxruntime = import_onnxruntime("cpu")

_LIBRARIES = ["onnxruntime", "onnx", "torch", "timm", "numpy"]


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "alignment_cost")
    parser.add_argument("--backbone", default="efficientnet_lite0")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="default: physical cores, within a quota"
    )
    parser.add_argument("--warm-up", type=int, default=20, help="untimed calls")
    parser.add_argument("--runs", type=int, default=200, help="timed calls")
    options = parser.parse_args()
    if options.runs < BLOCKS:
        sys.exit(f"--runs must be at least {BLOCKS}.")
    machine, size = common.begin(), options.image_size
    model, origin = build(options.backbone, size)
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    sessions = {}
    with tempfile.TemporaryDirectory() as folder:
        for name in ("plain", "aligned"):
            if name == "aligned":
                model.add_alignment()
            path = Path(folder) / f"{name}.onnx"
            write_onnx(DeploymentGraph(model), path, size)
            sessions[name] = onnxruntime.InferenceSession(
                str(path), session_options(onnxruntime, options.threads), providers=["CPUExecutionProvider"]
            )
    times = alternate(sessions, image, options.warm_up, options.runs)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratio = medians["aligned"] / medians["plain"]
    blocks = common.spread(block_ratios(times["aligned"], times["plain"]))
    print(f"plain {medians['plain']:.2f} ms, aligned {medians['aligned']:.2f} ms: ratio {ratio:.3f}")
    print(f"ratio in {BLOCKS} blocks of the run: {blocks['low']:.3f} to {blocks['high']:.3f}")
    figures = {
        "weights": origin,
        "milliseconds": {name: round(value, 3) for name, value in medians.items()},
        "ratio": round(ratio, 4),
        "ratio_of_blocks": blocks,
    }
    settings = {name: value for name, value in vars(options).items() if name != "out"}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
