"""The ``cpu`` back end: ONNX Runtime on the processor, fp32; the embedded default that works everywhere."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import FP32_GRAPH, Bundle
from dmdd_edge.cores import usable_cores
from dmdd_edge.runtime.backends.onnxruntime_session import (
    import_onnxruntime,
    open_session,
    run_session,
    session_options,
)
from dmdd_edge.runtime.malloc_trim import trim_heap

_Found = tuple[NDArray[np.float32], NDArray[np.float32]]


class OnnxRuntimeCpu:
    """Runs the fp32 graph, with as many threads as there are physical cores: hyperthreads gain nothing.

    With one slot all threads work on one frame, which has it done soonest. With more, each thread works on a
    frame of its own, which has most frames done: none waits for another within a frame, where many operations
    are too small to share.

    The fp16 graph is no use here: ONNX Runtime computes it in fp32 on a CPU, and slower.

    Args:
        bundle: a verified bundle.
        threads: how many threads; None takes the physical cores that the process may use, within a
            container's quota.
        slots: more than 1 for several frames at once.

    Raises:
        DmddError: ONNX Runtime is not installed, or the graph cannot be opened.

    Attributes:
        threads: how many threads.
        slots: how many batches may be under way at once.
    """

    name = "cpu"

    def __init__(self, bundle: Bundle, threads: int | None = None, slots: int = 1) -> None:
        onnxruntime = import_onnxruntime("cpu")
        self.threads = usable_cores() if threads is None else threads
        several = slots > 1 and self.threads > 1
        self.slots = self.threads if several else 1
        options = session_options(onnxruntime, 1 if several else self.threads)
        self._session = open_session(onnxruntime, bundle, FP32_GRAPH, options, ["CPUExecutionProvider"])
        self._workers = ThreadPoolExecutor(self.threads, "dmdd-infer") if several else None
        how = f"{self.threads} frames at once" if several else f"{self.threads} threads"
        self.description = f"ONNX Runtime {onnxruntime.__version__}, CPU, fp32, {how}"

    def infer(self, images: NDArray[np.uint8]) -> _Found:
        """See ``Backend.infer``."""
        return run_session(self._session, images)

    def submit(self, images: NDArray[np.uint8]) -> Future[_Found]:
        """See ``OverlappingBackend.submit``."""
        if self._workers is None:
            found: Future[_Found] = Future()
            found.set_result(self.infer(images))
            return found
        return self._workers.submit(run_session, self._session, images)

    def collect(self, ticket: Future[_Found]) -> _Found:
        """See ``OverlappingBackend.collect``."""
        return ticket.result()

    def close(self) -> None:
        """Give the session back."""
        if self._workers is not None:
            self._workers.shutdown()
        self._session = None
        trim_heap()
