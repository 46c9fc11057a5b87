"""The ``cpu`` back end: ONNX Runtime on the processor, fp32; the embedded default that works everywhere."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle import FP32_GRAPH, Bundle
from dmdd_edge.runtime.backends.onnxruntime_session import (
    import_onnxruntime,
    open_session,
    physical_cores,
    run_session,
    session_options,
)


class OnnxRuntimeCpu:
    """Runs the fp32 graph; one thread a physical core, since the graph gains nothing from hyperthreads.

    The fp16 graph is no use here: ONNX Runtime computes it in fp32 on a CPU, and slower.

    Args:
        bundle: a verified bundle.
        threads: how many threads; None takes the physical cores that the process may use.

    Raises:
        DmddError: ONNX Runtime is not installed, or the graph cannot be opened.
    """

    name = "cpu"

    def __init__(self, bundle: Bundle, threads: int | None = None) -> None:
        onnxruntime = import_onnxruntime("cpu")
        self.threads = physical_cores() if threads is None else threads
        options = session_options(onnxruntime, self.threads)
        self._session = open_session(onnxruntime, bundle, FP32_GRAPH, options, ["CPUExecutionProvider"])
        self.description = f"ONNX Runtime {onnxruntime.__version__}, CPU, fp32, {self.threads} threads"

    def infer(self, images: NDArray[np.uint8]) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """See ``Backend.infer``."""
        return run_session(self._session, images)

    def close(self) -> None:
        """Give the session back."""
        self._session = None
