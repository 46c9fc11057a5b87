"""Compare the latency of the fused graph with its first version, per backbone, in one run.

The first version is exported by the project's code of that time, taken from the repository's history; the
current version by the current code. Both files are opened with the current session options and interleaved
on the same image, so the ratio is that of the graphs alone. Both are untrained (see ``untrained.py``): time
does not depend on training.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import common
import numpy as np
from alternating import alternate, block_ratios
from past_code import FIRST, check_out, run_code
from untrained import build

from dmdd_edge.cores import usable_cores
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.runtime.backends.onnxruntime_session import import_onnxruntime, session_options

onnxruntime = import_onnxruntime("cpu")  # not a plain import: this one keeps telemetry off

#: Executed with the code of that time, which has these names too.
_EXPORT = """
import sys
from pathlib import Path
import graph_cost
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
backbone, size, file = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
write_onnx(DeploymentGraph(graph_cost.build(backbone, size)[0]), file, size)
"""


def export_first(code: Path, backbone: str, size: int, file: Path) -> None:
    """Export a backbone's graph with the code that ``check_out`` extracted."""
    run_code(code, [sys.executable, "-c", _EXPORT, backbone, str(size), str(file)]).check_returncode()


def measure(code: Path, backbone: str, options: Namespace) -> dict[str, Any]:
    """Measure one backbone."""
    size = options.image_size
    image = np.random.default_rng(0).integers(0, 256, (1, size, size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("first", "now")}
        export_first(code, backbone, size, files["first"])
        model, origin = build(backbone, size)
        write_onnx(DeploymentGraph(model), files["now"], size)
        sessions = {
            name: onnxruntime.InferenceSession(
                str(path), session_options(onnxruntime, options.threads), providers=["CPUExecutionProvider"]
            )
            for name, path in files.items()
        }
        times = alternate(sessions, image, options.warm_up, options.runs)
    medians = {name: statistics.median(values) for name, values in times.items()}
    return {
        "student": f"{origin} start, untrained",
        "milliseconds": {name: round(value, 3) for name, value in medians.items()},
        "ratio": round(medians["now"] / medians["first"], 4),
        "ratio_of_blocks": common.spread(block_ratios(times["now"], times["first"])),
    }


def options_from(arguments: Iterable[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "first_form")
    parser.add_argument("--backbone", nargs="+", default=list(common.BACKBONES))
    parser.add_argument("--first", default=FIRST, help="commit of the first version (default: %(default)s)")
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="default: physical cores, within a quota"
    )
    parser.add_argument("--warm-up", type=int, default=10, help="untimed calls")
    parser.add_argument("--runs", type=int, default=60, help="timed calls")
    return parser.parse_args(None if arguments is None else list(arguments))


def main() -> None:
    """Measure each backbone, print and write."""
    options = options_from()
    machine = common.begin()
    figures = {}
    with tempfile.TemporaryDirectory() as folder:
        check_out(options.first, Path(folder))
        for backbone in options.backbone:
            row = figures[backbone] = measure(Path(folder), backbone, options)
            ms, blocks = row["milliseconds"], row["ratio_of_blocks"]
            print(
                f"{backbone}: first version {ms['first']:.2f} ms, now {ms['now']:.2f} ms: "
                f"ratio {row['ratio']:.3f} (blocks {blocks['low']:.3f} to {blocks['high']:.3f})"
            )
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "backbone")}
    names = ["onnxruntime", "onnx", "torch", "torchvision", "timm", "numpy"]
    common.write_result(options.out, machine, settings, figures, names)


if __name__ == "__main__":
    main()
