"""Roofline: compare the fused graph with the ceilings of this machine.

The work of each node is counted from the exported ONNX file. The ceilings are measured on this machine with
the same number of threads: a product of large fp32 matrices in ONNX Runtime, and memory copies. Graph and
product are interleaved in one run, so the share of the ceiling that the graph reaches depends little on the
load of the machine. The bound by node lets every node run at the ceiling of operations or of memory,
whichever takes longer, without merging it with its neighbors; merged nodes can exceed it.

GPUs: bounds from published ceilings, marked as such; nothing was measured on them.
"""

from __future__ import annotations

import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import ceilings
import common
import numpy as np
from numpy.typing import NDArray
from onnx_work import GraphWork, work_of
from untrained import build

from dmdd_edge.cores import usable_cores
from dmdd_edge.export.graph import DeploymentGraph
from dmdd_edge.export.onnx_file import write_onnx
from dmdd_edge.runtime.backends.onnxruntime_session import (
    import_onnxruntime,
    run_session,
    session_options,
)
from dmdd_edge.runtime.bench.interleave import interleave
from dmdd_edge.runtime.bench.timing import Bench, Plan, Query

onnxruntime = import_onnxruntime("cpu")  # not a plain import: this one keeps telemetry off

_LIBRARIES = ["onnxruntime", "onnx", "onnxscript", "torch", "torchvision", "timm", "numpy"]
_SHOWN_KINDS = 8


def timed(work: Callable[[], object]) -> Query:
    """A query that times a call."""

    def query(number: int) -> dict[str, float]:
        began = time.perf_counter()
        work()
        return {"call": 1000 * (time.perf_counter() - began)}

    return query


def bounds(work: GraphWork, operations: float, cache: float, memory: float) -> dict[str, float]:
    """The shortest times that the ceilings allow, in milliseconds.

    Args:
        work: work of the graph.
        operations: ceiling of operations, in 10^9 per second.
        cache: ceiling of bytes moved within the cache, in 10^9 per second.
        memory: ceiling of bytes moved from and to memory, in 10^9 per second.
    """
    by_node = sum(max(node.flops / operations, node.nbytes / cache) for node in work.nodes)
    return {
        "operations_ms": work.flops / operations / 1e6,
        "compulsory_memory_ms": work.compulsory / memory / 1e6,
        "by_node_ms": by_node / 1e6,
    }


def published_bounds(work: GraphWork, batch: int) -> dict[str, dict[str, Any]]:
    """The bounds of GPUs in fp16, with half the bytes, from published ceilings."""
    found = {}
    for name, gpu in ceilings.PUBLISHED.items():
        operations = work.flops / (gpu.fp16 * 1e9)
        found[name] = {
            "label": "published ceilings, nothing measured",
            "source": gpu.source,
            "operations_ms": round(operations, 4),
            "compulsory_memory_ms": round(work.compulsory / 2 / (gpu.bandwidth * 1e6), 4),
            "all_bytes_from_memory_ms": round(work.nbytes / 2 / (gpu.bandwidth * 1e6), 4),
        }
    return found


def measure(backbone: str, options: Namespace, found: dict[str, Any]) -> dict[str, Any]:
    """Measure one backbone against the measured ceilings."""
    size, batch = options.image_size, options.batch
    model, origin = build(backbone, size)
    image: NDArray[np.uint8] = np.random.default_rng(0).integers(
        0, 256, (batch, size, size, 3), dtype=np.uint8
    )
    side = ceilings.SIDES[-1]  # large, so that waking a thread does not matter
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.onnx"
        write_onnx(DeploymentGraph(model), path, size)
        del model
        work = work_of(path, batch)

        @contextmanager
        def open_sides(forwards: bool) -> Iterator[list[Query]]:
            options_of_session = session_options(onnxruntime, options.threads)
            session = onnxruntime.InferenceSession(
                str(path), options_of_session, providers=["CPUExecutionProvider"]
            )
            product, inputs = ceilings.product_session(side, options.threads)
            yield [timed(lambda: run_session(session, image)), timed(lambda: product.run(None, inputs))]

        turns = interleave(open_sides, Plan(options.seconds, 4, 1.0, 8), Bench(), options.most_times)
    graph_ms, product_ms = (float(np.median(turns.values(index))) for index in (0, 1))
    ratio = turns.ratio  # the product's time over the graph's
    scale = work.flops / (2 * side**3)
    operations = 2 * side**3 / product_ms / 1e6
    limits = bounds(work, operations, found["copy_in_cache_gb_s"], found["copy_beyond_cache_gb_s"])
    kinds = work.by_kind()
    return {
        "weights": origin,
        "gflop": round(work.flops / 1e9, 4),
        "mb_moved_by_nodes": round(work.nbytes / 1e6, 2),
        "mb_of_weights": round(work.weights / 1e6, 2),
        "operators_not_counted": list(work.unknown),
        "milliseconds": round(graph_ms, 3),
        "gflop_s": round(work.flops / graph_ms / 1e6, 2),
        "product_gflop_s_in_turns": round(operations, 2),
        "share_of_product": {
            "value": round(scale * ratio.value, 4),
            "low": round(scale * ratio.low, 4),
            "high": round(scale * ratio.high, 4),
        },
        "bounds_ms": {name: round(value, 3) for name, value in limits.items()},
        "share_of_bound_by_node": round(limits["by_node_ms"] / graph_ms, 4),
        "kinds": {
            name: {
                "gflop": round(kind.flops / 1e9, 4),
                "mb": round(kind.nbytes / 1e6, 2),
                "flop_per_byte": round(kind.flops / kind.nbytes, 2) if kind.nbytes else None,
            }
            for name, kind in kinds.items()
        },
        "gpus": published_bounds(work, batch),
        "not_reliable_because": turns.interference.texts,
    }


def measure_ceilings(threads: int, runs: int) -> dict[str, Any]:
    """Measure this machine's ceilings at a number of threads."""
    side, rates = ceilings.best_product(threads, runs)
    return {
        "product_gflop_s": round(rates[side], 2),
        "product_side": side,
        "product_gflop_s_by_side": {str(key): round(rate, 2) for key, rate in rates.items()},
        "numpy_product_gflop_s": round(ceilings.numpy_product(side, runs), 2),
        "copy_in_cache_gb_s": round(ceilings.copy_rate(ceilings.IN_CACHE, threads, runs), 2),
        "copy_beyond_cache_gb_s": round(ceilings.copy_rate(ceilings.BEYOND_CACHE, threads, runs), 2),
    }


def show(backbone: str, found: dict[str, Any]) -> None:
    """Print one backbone's figures."""
    share, limits = found["share_of_product"], found["bounds_ms"]
    print(
        f"\n{backbone} ({found['weights']} weights): {found['gflop']:.2f} GFLOP, "
        f"{found['milliseconds']:.2f} ms"
    )
    print(
        f"  {found['gflop_s']:.1f} GFLOP/s, {100 * share['value']:.1f} % of the product's "
        f"({100 * share['low']:.1f} to {100 * share['high']:.1f})"
    )
    print(
        f"  bounds: operations {limits['operations_ms']:.2f} ms, by node {limits['by_node_ms']:.2f} ms "
        f"({100 * found['share_of_bound_by_node']:.0f} % of it reached), weights and image from memory "
        f"{limits['compulsory_memory_ms']:.2f} ms"
    )
    for name, kind in list(found["kinds"].items())[:_SHOWN_KINDS]:
        density = "" if kind["flop_per_byte"] is None else f"{kind['flop_per_byte']:.1f} FLOP/byte"
        print(f"  {name:<22}{kind['gflop']:>9.3f} GFLOP{kind['mb']:>9.1f} MB  {density}")
    for name, gpu in found["gpus"].items():
        print(
            f"  {name}: at least {gpu['operations_ms']:.3f} ms by operations, "
            f"{gpu['all_bytes_from_memory_ms']:.3f} ms without on-chip reuse ({gpu['label']})"
        )
    if found["operators_not_counted"]:
        print(f"  not counted: {', '.join(found['operators_not_counted'])}")
    if found["not_reliable_because"]:
        print(f"  unreliable: {'; '.join(found['not_reliable_because'])}")


def options_from() -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "roofline")
    parser.add_argument("--backbone", nargs="+", default=list(common.BACKBONES))
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="default: physical cores, within a quota"
    )
    parser.add_argument("--seconds", type=float, default=12.0, help="seconds per backbone, all rounds")
    parser.add_argument(
        "--most-times", type=float, default=3.0, help="maximum extension of --seconds, as a factor"
    )
    parser.add_argument("--runs", type=int, default=15, help="runs of each ceiling")
    return parser.parse_args()


def main() -> None:
    """Measure the ceilings and each backbone, print and write."""
    options = options_from()
    machine = common.begin()
    found = measure_ceilings(options.threads, options.runs)
    for name, value in found.items():
        print(f"{name}: {value}")
    figures: dict[str, Any] = {"ceilings": found, "backbones": {}}
    for backbone in options.backbone:
        figures["backbones"][backbone] = measure(backbone, options, found)
        show(backbone, figures["backbones"][backbone])
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "backbone")}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
