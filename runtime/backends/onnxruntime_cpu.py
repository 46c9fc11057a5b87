"""The ``cpu`` backend: ONNX Runtime on the processor; the default that works everywhere."""

from __future__ import annotations

from concurrent.futures import Future, ThreadPoolExecutor

import numpy as np
from numpy.typing import NDArray

from dmdd_edge.bundle.bundle import GRAPHS, Bundle
from dmdd_edge.cores import usable_cores
from dmdd_edge.runtime.backends.onnxruntime_session import (
    chosen_precision,
    import_onnxruntime,
    open_session,
    run_session,
    session_options,
)
from dmdd_edge.runtime.malloc_trim import trim_heap

_Outputs = tuple[NDArray[np.float32], NDArray[np.float32]]


class OnnxRuntimeCpu:
    """Runs the fp32 graph, or the int8 one, with one thread per physical core; hyperthreads gain nothing.

    With one slot, all threads share one frame, for the lowest latency. With more, each thread computes its
    own frame, for the highest throughput: no thread waits for another within a frame, where many operations
    are too small to share.

    The fp16 graph does not help: on a CPU, ONNX Runtime computes it in fp32, and slower. The int8 graph is
    made for engines; here it shows their accuracy, not their speed.

    Args:
        bundle: a verified bundle.
        threads: number of threads; None for the physical cores that the process may use, within a
            container's quota.
        slots: more than 1 for several frames at once.
        precision: ``auto`` and ``fp32`` for the fp32 graph, or ``int8``.

    Raises:
        DmddError: ONNX Runtime is not installed, or the graph cannot be opened.

    Attributes:
        threads: number of threads.
        slots: number of batches that may be in flight at once.
        precision: of the graph that runs.
    """

    name = "cpu"

    def __init__(
        self, bundle: Bundle, threads: int | None = None, slots: int = 1, precision: str = "auto"
    ) -> None:
        onnxruntime = import_onnxruntime("cpu")
        self.precision = chosen_precision(self.name, precision, bundle, ("fp32", "int8"))
        self.threads = usable_cores() if threads is None else threads
        several = slots > 1 and self.threads > 1
        self.slots = self.threads if several else 1
        options = session_options(onnxruntime, 1 if several else self.threads)
        self._session = open_session(
            onnxruntime, bundle, GRAPHS[self.precision], options, ["CPUExecutionProvider"]
        )
        self._workers = ThreadPoolExecutor(self.threads, "dmdd-infer") if several else None
        how = f"{self.threads} frames at once" if several else f"{self.threads} threads"
        self.description = f"ONNX Runtime {onnxruntime.__version__}, CPU, {self.precision}, {how}"

    def infer(self, images: NDArray[np.uint8]) -> _Outputs:
        """See ``Backend.infer``."""
        return run_session(self._session, images)

    def submit(self, images: NDArray[np.uint8]) -> Future[_Outputs]:
        """See ``OverlappingBackend.submit``."""
        if self._workers is None:
            done: Future[_Outputs] = Future()
            done.set_result(self.infer(images))
            return done
        return self._workers.submit(run_session, self._session, images)

    def collect(self, ticket: Future[_Outputs]) -> _Outputs:
        """See ``OverlappingBackend.collect``."""
        return ticket.result()

    def close(self) -> None:
        """Release the session."""
        if self._workers is not None:
            self._workers.shutdown()
        self._session = None
        trim_heap()
