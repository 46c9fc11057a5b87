"""Measure which options of an ONNX Runtime session make the fused graph faster on this CPU.

Each option alone is interleaved with the options that the runtime uses, in one run on the same image; the
ratio is that of the medians, below 1 when the option is faster, with its 95 % interval. Then all options
whose interval is below 1 are combined and measured again: ``chosen``. Spinning, which keeps cores busy, is
measured but never chosen; the processor time per call shows its cost. The change in the graph's outputs is
reported next to the ratio.
"""

from __future__ import annotations

import sys
import tempfile
import time
from argparse import Namespace
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import common
import numpy as np
from numpy.typing import NDArray
from untrained import build

from dmdd_edge.cores import allowed_cores, usable_cores
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
_CPU = "CPUExecutionProvider"
#: Rounds per option, each with new sessions; fewer than elsewhere, since there are many options.
_ROUNDS = 5
Change = Callable[[Any], None]


@dataclass(frozen=True)
class Variant:
    """A change to the options that the runtime uses.

    Attributes:
        change: applies it.
        question: what the option tests.
        choose: whether it may be chosen when it is faster.
        provider: options of the CPU provider.
        bound: run with inputs and outputs bound to arrays that are allocated once.
    """

    change: Change
    question: str
    choose: bool = True
    provider: tuple[tuple[str, str], ...] = ()
    bound: bool = False


def entry(key: str, value: str) -> Change:
    """Change a session's configuration entry."""
    return lambda options: options.add_session_config_entry(key, value)


def attribute(name: str, value: Any) -> Change:
    """Change an attribute of the options."""
    return lambda options: setattr(options, name, value)


def _nothing(options: Any) -> None:
    """Change nothing."""


def _parallel(options: Any) -> None:
    options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    options.inter_op_num_threads = 2


def variants(threads: int) -> dict[str, Variant]:
    """All variants, by name.

    Args:
        threads: threads of the runtime's options.
    """
    level = onnxruntime.GraphOptimizationLevel
    cores = sorted(allowed_cores())
    found = {
        "itself": Variant(_nothing, "the same options again: how reliable a ratio is", choose=False),
        "one thread": Variant(attribute("intra_op_num_threads", 1), "a single thread"),
        "one thread more": Variant(attribute("intra_op_num_threads", threads + 1), "more threads than cores"),
        "spinning": Variant(
            entry("session.intra_op.allow_spinning", "1"),
            "threads wait by polling",
            choose=False,
        ),
        "nodes in parallel": Variant(_parallel, "independent nodes run in parallel"),
        "basic optimization": Variant(
            attribute("graph_optimization_level", level.ORT_ENABLE_BASIC), "no merged nodes, no NCHWc layout"
        ),
        "no NCHWc layout": Variant(
            attribute("graph_optimization_level", level.ORT_ENABLE_EXTENDED),
            "merged nodes, but the layout as exported",
        ),
        "no memory pattern": Variant(
            attribute("enable_mem_pattern", False), "memory planned again on each run"
        ),
        "no arena": Variant(attribute("enable_cpu_mem_arena", False), "memory from the C library"),
        "arena as requested": Variant(
            _nothing,
            "the arena grows by the requested size only",
            provider=(("arena_extend_strategy", "kSameAsRequested"),),
        ),
        "denormals as zero": Variant(
            entry("session.set_denormal_as_zero", "1"), "denormal numbers count as zero"
        ),
        "no prepacking": Variant(entry("session.disable_prepacking", "1"), "weights as they are in the file"),
        "dynamic blocks": Variant(
            entry("session.dynamic_block_base", "4"), "work is split into smaller parts"
        ),
        "bound outputs": Variant(_nothing, "inputs and outputs bound to preallocated arrays", bound=True),
    }
    if len(cores) >= threads > 1:
        # The calling thread is the first; each other thread is pinned to a core, counted from 1.
        tied = ";".join(str(core + 1) for core in cores[1:threads])
        found["threads tied to cores"] = Variant(
            entry("session.intra_op_thread_affinities", tied), "the system does not move threads"
        )
    return found


class Session:
    """A session of a file, run on one image."""

    def __init__(self, path: Path, threads: int, changes: list[Variant], image: NDArray[np.uint8]) -> None:
        options = session_options(onnxruntime, threads)
        for variant in changes:
            variant.change(options)
        provider = dict(item for variant in changes for item in variant.provider)
        self._session = onnxruntime.InferenceSession(str(path), options, providers=[(_CPU, provider)])
        self._image = image
        self._binding: Any = None
        if any(variant.bound for variant in changes):
            maps, scores = run_session(self._session, image)
            self._outputs = [np.empty_like(maps), np.empty_like(scores)]
            self._binding = self._session.io_binding()
            self._bind("image", image, self._binding.bind_input)
            for name, array in zip(("anomaly_map", "score"), self._outputs, strict=True):
                self._bind(name, array, self._binding.bind_output)

    @staticmethod
    def _bind(name: str, array: NDArray[Any], bind: Callable[..., None]) -> None:
        bind(name, "cpu", 0, array.dtype.type, array.shape, array.ctypes.data)

    def run(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Maps and scores of the image."""
        if self._binding is None:
            return run_session(self._session, self._image)
        self._session.run_with_iobinding(self._binding)
        return self._outputs[0], self._outputs[1]

    def query(self, processor_ms: list[float]) -> Query:
        """A timed call; appends the processor time of each."""

        def query(number: int) -> dict[str, float]:
            used, began = time.process_time(), time.perf_counter()
            self.run()
            taken = 1000 * (time.perf_counter() - began)
            processor_ms.append(1000 * (time.process_time() - used))
            return {"call": taken}

        return query


def measure(
    path: Path, changes: list[Variant], image: NDArray[np.uint8], options: Namespace, most_times: float = 1
) -> dict[str, Any]:
    """Measure the ratio of changed options to the runtime's options."""
    processor: tuple[list[float], list[float]] = [], []
    found = []
    for given in ([], changes):
        session = Session(path, options.threads, given, image)
        found.append([array.copy() for array in session.run()])
    (maps, scores), (new_maps, new_scores) = found

    @contextmanager
    def open_sides(forwards: bool) -> Iterator[list[Query]]:
        given = {0: [], 1: changes}
        order = (0, 1) if forwards else (1, 0)
        sessions = {index: Session(path, options.threads, given[index], image) for index in order}
        yield [sessions[index].query(processor[index]) for index in (0, 1)]

    turns = interleave(open_sides, Plan(options.seconds, 4, 0.3, 6), Bench(), most_times, _ROUNDS)
    ratio = turns.ratio
    return {
        "ratio": round(ratio.value, 4),
        "low": round(ratio.low, 4),
        "high": round(ratio.high, 4),
        "milliseconds": round(float(np.median(turns.values(1))), 3),
        "processor_ms": round(float(np.median(processor[1])), 3),
        "processor_ms_of_runtime": round(float(np.median(processor[0])), 3),
        "calls": len(turns.values(0)),
        "largest_change_of_map": float(np.abs(maps - new_maps).max()),
        "largest_change_of_score": float(np.abs(scores - new_scores).max()),
        "not_reliable_because": turns.interference.texts,
    }


def study(backbone: str, options: Namespace) -> dict[str, Any]:
    """Measure one backbone."""
    model, origin = build(backbone, options.image_size)
    size = options.image_size
    image = np.random.default_rng(0).integers(0, 256, (options.batch, size, size, 3), dtype=np.uint8)
    known = variants(options.threads)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "fused.onnx"
        write_onnx(DeploymentGraph(model), path, size)
        del model
        for name, variant in known.items():
            try:
                found[name] = measure(path, [variant], image, options)
            except Exception as error:  # an option that this ONNX Runtime does not support
                found[name] = {"failed": str(error).splitlines()[0]}
            show(name, found[name])
        faster = [n for n, f in found.items() if known[n].choose and f.get("high", 1.0) < 1.0]
        chosen = {"options": faster, "ratio": 1.0}
        if faster:
            chosen |= measure(path, [known[name] for name in faster], image, options, most_times=3)
            show(f"chosen: {', '.join(faster)}", chosen)
        else:
            print("  chosen: none; no option is faster than the runtime's")
    return {
        "weights": origin,
        "questions": {name: variant.question for name, variant in known.items()},
        "variants": found,
        "chosen": chosen,
    }


def show(name: str, found: dict[str, Any]) -> None:
    """Print one row."""
    if "failed" in found:
        print(f"  {name:<24} not supported: {found['failed']}")
        return
    changed = max(found["largest_change_of_map"], found["largest_change_of_score"])
    print(
        f"  {name:<24}{found['ratio']:7.3f} ({found['low']:.3f} to {found['high']:.3f}), "
        f"{found['milliseconds']:8.2f} ms, processor {found['processor_ms']:8.2f} ms per call, "
        f"outputs change by {changed:.1g}"
    )


def options_from() -> Namespace:
    """Read the command line."""
    parser = common.parser(__doc__, "session_options")
    parser.add_argument("--backbone", nargs="+", default=["efficientnet_lite0", "resnet18"])
    parser.add_argument("--image-size", type=int, default=256)
    parser.add_argument("--batch", type=int, default=1)
    parser.add_argument(
        "--threads", type=int, default=usable_cores(), help="default: physical cores, within a quota"
    )
    parser.add_argument("--seconds", type=float, default=6.0, help="seconds per option, all rounds")
    return parser.parse_args()


def main() -> None:
    """Try every option on every backbone, print and write."""
    options = options_from()
    if options.seconds <= 0:
        sys.exit("--seconds must be above 0.")
    onnxruntime.set_default_logger_severity(3)  # it warns about every option that is set twice
    machine = common.begin()
    figures = {}
    for backbone in options.backbone:
        print(f"\n{backbone}: option, ratio to the runtime's options")
        figures[backbone] = study(backbone, options)
    settings = {name: value for name, value in vars(options).items() if name not in ("out", "backbone")}
    common.write_result(options.out, machine, settings, figures, _LIBRARIES)


if __name__ == "__main__":
    main()
