"""Measure the cost of the fused graph against the two bare backbones, part by part.

The fused fp32 graph (teacher, student, decoupling, PMN, distances, head, score) and a graph of the teacher's
and the student's stages alone are exported by the same code, opened with the runtime's session options, and
interleaved on the same image in one process. The ratio is that of the medians. ONNX Runtime's profiler then
times each node; nodes are grouped by the part of the method that their names begin with.
The models are untrained; see ``untrained.py``.
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
from argparse import Namespace
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import common
import numpy as np
import onnx
from alternating import BLOCKS, alternate, block_ratios
from numpy.typing import NDArray
from torch import Tensor, nn
from untrained import build

from dmdd_edge.cores import usable_cores
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.runtime.backends.onnxruntime_session import (
    import_onnxruntime,
    run_session,
    session_options,
)

onnxruntime = import_onnxruntime("cpu")  # not a plain import: this one keeps telemetry off

_LIBRARIES = ["onnxruntime", "onnx", "onnxscript", "torch", "torchvision", "timm", "numpy"]
#: Part of the method -> prefixes of its nodes' names; the first match counts.
PARTS = {
    "input": ("island_input", "island_alignment", "island_brightness", "island_denoise", "island_mean"),
    "teacher": ("teacher",),
    "student": ("student.stages",),
    "decoupling": ("student.decouple", "student.normality", "student.abnormality"),
    "PMN": ("student.pmn",),
    "distances": ("island_distances",),
    "score": ("island_score", "island_head/TopK"),
    "head": ("island_head",),
}
OTHER = "other"


class _Stages(nn.Module):
    """The student's stages in sequence."""

    def __init__(self, stages: nn.ModuleList) -> None:
        super().__init__()
        self.stages = stages

    def forward(self, x: Tensor) -> Tensor:
        for stage in self.stages:
            x = stage(x)
        return x


class BareBackbones(nn.Module):
    """Input and the two backbones of a deployment graph only; returns the last feature of each."""

    def __init__(self, graph: DeploymentGraph) -> None:
        super().__init__()
        self.island_input, self.island_mean = graph.island_input, graph.island_mean
        self.teacher = graph.teacher
        self.student = _Stages(graph.student.stages)

    def forward(self, image: Tensor) -> tuple[Tensor, Tensor]:
        """See the class."""
        x = self.island_mean(self.island_input(image))
        return self.teacher(x)[-1], self.student(x)


def part_of(name: str) -> str | None:
    """Part of the method that a node's name belongs to."""
    for part, beginnings in PARTS.items():
        if name.startswith(beginnings):
            return part
    return None


def parts_of_nodes(written: onnx.ModelProto, optimised: onnx.ModelProto) -> dict[str, str]:
    """Part of each node that ONNX Runtime runs.

    It renames what it fuses after the tensor that comes out, and adds nodes that change the memory layout:
    those count to the node they take from, or failing that to the one they give to.
    """
    known: dict[str, str] = {}
    for node in written.graph.node:
        before = next((known[name] for name in node.input if name in known), None)
        part = part_of(node.name) or before
        if part is not None:
            known |= dict.fromkeys([node.name, *node.output], part)
    found: dict[str, str] = {}
    made_by: dict[str, str] = {}
    pending: list[onnx.NodeProto] = []
    for node in optimised.graph.node:
        plain = node.name.removeprefix("fused ").removesuffix("_nchwc")
        part = known.get(plain) or part_of(plain)
        part = part or next((known[name] for name in node.output if name in known), None)
        if part is None and "ReorderInput" not in node.op_type:
            part = next((made_by[name] for name in node.input if name in made_by), None)
        if part is None:
            pending.append(node)
            continue
        found[node.name] = part
        made_by |= dict.fromkeys(node.output, part)
    for node in reversed(pending):
        readers = [other.name for other in optimised.graph.node if set(node.output) & set(other.input)]
        found[node.name] = next((found[name] for name in readers if name in found), OTHER)
    return found


def profile(path: Path, image: NDArray[np.uint8], threads: int, runs: int) -> dict[str, float]:
    """Milliseconds of each part: each node's median over the runs, added up."""
    with tempfile.TemporaryDirectory() as folder:
        options = session_options(onnxruntime, threads)
        options.enable_profiling = True
        options.profile_file_prefix = f"{folder}/profile"
        options.optimized_model_filepath = f"{folder}/optimized.onnx"
        session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
        for _ in range(runs + 2):
            run_session(session, image)
        events = json.loads(Path(session.end_profiling()).read_text())
        parts = parts_of_nodes(onnx.load(path), onnx.load(options.optimized_model_filepath))
    times: dict[str, list[float]] = {}
    for event in events:
        if event.get("cat") == "Node" and event["name"].endswith("_kernel_time"):
            times.setdefault(event["name"].removesuffix("_kernel_time"), []).append(event["dur"] / 1e3)
    totals = dict.fromkeys([*PARTS, OTHER], 0.0)
    for name, values in times.items():
        totals[parts.get(name, OTHER)] += statistics.median(values[2:] or values)
    return {part: total for part, total in totals.items() if total > 0}


def measure(backbone: str, options: Namespace) -> dict[str, Any]:
    """Measure one backbone."""
    size = options.image_size
    model, origin = build(backbone, size)
    graph = DeploymentGraph(model)
    image = np.random.default_rng(0).integers(0, 256, (options.batch, size, size, 3), dtype=np.uint8)
    with tempfile.TemporaryDirectory() as folder:
        files = {name: Path(folder) / f"{name}.onnx" for name in ("fused", "bare")}
        write_onnx(graph, files["fused"], size)
        write_onnx(BareBackbones(graph).eval(), files["bare"], size)
        sessions = {
            name: onnxruntime.InferenceSession(
                str(path), session_options(onnxruntime, options.threads), providers=["CPUExecutionProvider"]
            )
            for name, path in files.items()
        }
        megabytes = files["fused"].stat().st_size / 1e6
        times = alternate(sessions, image, options.warm_up, options.runs)
        parts = {
            name: profile(path, image, options.threads, options.profiled) for name, path in files.items()
        }
    medians = {name: statistics.median(values) for name, values in times.items()}
    blocks = block_ratios(times["fused"], times["bare"])
    return {
        "weights": origin,
        "milliseconds": {name: round(value, 3) for name, value in medians.items()},
        "fused_megabytes": round(megabytes, 1),
        "ratio": round(medians["fused"] / medians["bare"], 4),
        "ratio_of_blocks": common.spread(blocks),
        "parts_ms": {name: {p: round(ms, 3) for p, ms in found.items()} for name, found in parts.items()},
    }


def show(backbone: str, found: dict[str, Any]) -> None:
    """Print one backbone's figures."""
    blocks, ms = found["ratio_of_blocks"], found["milliseconds"]
    print(f"\n{backbone} ({found['weights']} weights)")
    print(f"  fused {ms['fused']:.2f} ms, bare backbones {ms['bare']:.2f} ms: ratio {found['ratio']:.3f}")
    print(f"  the fused fp32 graph has {found['fused_megabytes']:.1f} MB")
    print(f"  ratio in {BLOCKS} blocks of the run: {blocks['low']:.3f} to {blocks['high']:.3f}")
    fused, bare = found["parts_ms"]["fused"], found["parts_ms"]["bare"]
    whole = sum(bare.values())
    print(f"  {'by the profiler':<16}{'fused ms':>10}{'bare ms':>10}{'more, % of bare':>18}")
    for part, value in fused.items():
        more = 100 * (value - bare.get(part, 0.0)) / whole
        print(f"  {part:<16}{value:>10.2f}{bare.get(part, 0.0):>10.2f}{more:>18.1f}")


def options_from(arguments: Iterable[str] | None = None) -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "graph_cost")
    parser.add_argument("--backbone", nargs="+", default=list(common.BACKBONES))
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="default: physical cores, within a quota"
    )
    parser.add_argument("--warm-up", type=int, default=20, help="untimed calls")
    parser.add_argument("--runs", type=int, default=100, help="timed calls")
    parser.add_argument("--profiled", type=int, default=50, help="profiled calls")
    return parser.parse_args(None if arguments is None else list(arguments))


def main() -> None:
    """Measure each backbone, print and write."""
    options = options_from()
    if options.runs < BLOCKS:
        sys.exit(f"--runs must be at least {BLOCKS}.")
    machine = common.begin()
    figures = {}
    for backbone in options.backbone:
        figures[backbone] = measure(backbone, options)
        show(backbone, figures[backbone])
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "backbone")}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
