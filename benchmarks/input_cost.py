"""Measure what is done to an image before the networks: the fused graph with and without it, interleaved.

That is smoothing noise, equal brightness, and rotating images of loose parts. All fp32 graphs are of one
untrained model (see ``untrained.py``), opened with the runtime's session options, on the same image in one
process. The ratios are those of the medians.
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
from dmdd_edge.train.denoise import Denoise

onnxruntime = import_onnxruntime("cpu")

PLAIN = "plain"
#: Gray levels; their number costs nothing.
_LEVELS = 3.0
_LIBRARIES = ["onnxruntime", "onnx", "torch", "timm", "numpy"]


def main() -> None:
    """Measure, print and write."""
    parser = common.parser(__doc__, "input_cost")
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
        for name in (PLAIN, "smoothed", "equal brightness", "rotated"):
            model.normalize.denoise = Denoise(_LEVELS) if name == "smoothed" else None
            model.brightness = model.alignment = None
            if name == "equal brightness":
                model.add_brightness()
            elif name == "rotated":
                model.add_alignment()
            path = Path(folder) / "model.onnx"
            write_onnx(DeploymentGraph(model), path, size)
            sessions[name] = onnxruntime.InferenceSession(
                str(path), session_options(onnxruntime, options.threads), providers=["CPUExecutionProvider"]
            )
    times = alternate(sessions, image, options.warm_up, options.runs)
    medians = {name: statistics.median(values) for name, values in times.items()}
    ratios, spreads = {}, {}
    for name in times:
        if name != PLAIN:
            ratios[name] = round(medians[name] / medians[PLAIN], 4)
            blocks = spreads[name] = common.spread(block_ratios(times[name], times[PLAIN]))
            print(f"{name}: {medians[name]:.2f} ms, plain {medians[PLAIN]:.2f} ms: ratio {ratios[name]:.3f}")
            print(f"ratio in {BLOCKS} blocks of the run: {blocks['low']:.3f} to {blocks['high']:.3f}")
    figures = {
        "weights": origin,
        "milliseconds": {name: round(value, 3) for name, value in medians.items()},
        "ratios": ratios,
        "ratios_of_blocks": spreads,
    }
    settings = {name: value for name, value in vars(options).items() if name != "out"}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
