"""Ceilings of a machine: fp32 matrix products and memory copies, measured; GPUs as published.

A ceiling is the best of several runs: a disturbance can only lower it.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, helper

from dmdd_edge.runtime.backends.onnxruntime_session import import_onnxruntime, session_options

onnxruntime = import_onnxruntime("cpu")  # not a plain import: this one keeps telemetry off

#: Sides of the matrices, and bytes of the copied arrays: within the cache, and beyond it.
SIDES = (512, 1024, 2048)
IN_CACHE, BEYOND_CACHE = 256 << 10, 192 << 20


@dataclass(frozen=True)
class Published:
    """A GPU's ceilings as NVIDIA publishes them; not measured here.

    Attributes:
        fp16: dense fp16 operations of the tensor cores with fp32 accumulation, in 10^12 per second.
        bandwidth: memory bandwidth in 10^9 bytes per second.
        source: origin of the figures.
    """

    fp16: float
    bandwidth: float
    source: str


#: Sparse figures are halved, INT8 figures halved again.
PUBLISHED = {
    "Jetson Orin Nano 8 GB (Super)": Published(16.75, 102.0, "NVIDIA: 67 sparse INT8 TOPS, 102 GB/s"),
    "Jetson AGX Orin 64 GB": Published(42.5, 204.8, "NVIDIA: 170 sparse INT8 TOPS of the GPU, 204.8 GB/s"),
    "T4": Published(65.0, 320.0, "NVIDIA: 65 FP16 TFLOPS, 320 GB/s"),
    "RTX 4090": Published(165.2, 1008.0, "NVIDIA: 165.2 FP16 TFLOPS with FP32 accumulation, 1008 GB/s"),
    "H100 SXM": Published(989.0, 3350.0, "NVIDIA: 1979 sparse FP16 TFLOPS, 3.35 TB/s"),
}


def product_session(side: int, threads: int) -> tuple[Any, dict[str, NDArray[np.float32]]]:
    """A session that multiplies two square matrices, with the runtime's options, and its inputs."""
    square = [side, side]
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["a", "b"], ["c"])],
        "product",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, square) for name in "ab"],
        [helper.make_tensor_value_info("c", TensorProto.FLOAT, square)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=9)
    options = session_options(onnxruntime, threads)
    session = onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )
    rng = np.random.default_rng(0)
    return session, {name: rng.random((side, side), np.float32) for name in "ab"}


def best_product(threads: int, runs: int) -> tuple[int, dict[int, float]]:
    """The side at which products are fastest, and 10^9 operations per second at each side."""
    found = {}
    for side in SIDES:
        session, inputs = product_session(side, threads)
        rates = [2 * side**3 / _seconds(partial(session.run, None, inputs)) / 1e9 for _ in range(runs)]
        found[side] = max(rates)
    return max(found, key=lambda side: found[side]), found


def numpy_product(side: int, runs: int) -> float:
    """10^9 operations per second of NumPy's product, with its library's default threads."""
    a, b = (np.random.default_rng(i).random((side, side), np.float32) for i in range(2))
    rates = [2 * side**3 / _seconds(lambda: a @ b) / 1e9 for _ in range(runs)]
    return max(rates)


def copy_rate(nbytes: int, threads: int, runs: int) -> float:
    """10^9 bytes per second, read and written, when each thread copies its own array.

    Args:
        nbytes: bytes of each array.
        threads: number of threads.
        runs: number of runs; the best counts.
    """
    arrays = [(np.ones(nbytes, np.uint8), np.zeros(nbytes, np.uint8)) for _ in range(threads)]
    repeats = max((1 << 30) // nbytes, 1)  # long compared with the start of a thread

    def copy(index: int) -> None:
        source, target = arrays[index]
        for _ in range(repeats):
            np.copyto(target, source)

    def all_at_once() -> None:
        workers = [threading.Thread(target=copy, args=(index,)) for index in range(threads)]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()

    moved = 2 * nbytes * repeats * threads
    return max(moved / _seconds(all_at_once) / 1e9 for _ in range(runs))


def _seconds(work: Callable[[], object]) -> float:
    began = time.perf_counter()
    work()
    return time.perf_counter() - began
