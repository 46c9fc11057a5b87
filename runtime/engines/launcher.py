"""Run one batch size: in a separate context, from the second run on as a CUDA graph.

A graph holds addresses and the state of the context it was captured from, which must therefore not change:
one context per graph. The first run completes the setup of a new shape, so it is never captured. The
contexts of a slot share its scratch memory, since they run one after the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from dmdd_edge.errors import BackendError, DmddError
from dmdd_edge.runtime.cuda import Cuda, DeviceMemory, Graph, Stream
from dmdd_edge.runtime.engines.loaded import IMAGE, LoadedEngine

if TYPE_CHECKING:
    import tensorrt


@dataclass
class GraphUse:
    """Whether CUDA graphs are used; a failed capture disables them for the whole engine.

    Attributes:
        wanted: whether to capture graphs.
        why_not: why they are not used; else empty.
    """

    wanted: bool
    why_not: str = ""


class Launcher:
    """Runs one batch size.

    Args:
        loaded: the engine.
        cuda: the driver.
        stream: it runs in.
        count: N.
        addresses: of every tensor, with memory for N.
        scratch: memory for the run; None when the engine needs none.
        graphs: whether to capture.

    Raises:
        DmddError: the engine rejects this batch size.
    """

    def __init__(
        self,
        loaded: LoadedEngine,
        cuda: Cuda,
        stream: Stream,
        count: int,
        addresses: Mapping[str, int],
        scratch: DeviceMemory | None,
        graphs: GraphUse,
    ) -> None:
        self._loaded, self._cuda, self._stream, self._count = loaded, cuda, stream, count
        self._graphs = graphs
        self._graph: Graph | None = None
        self._has_run = False
        context: tensorrt.IExecutionContext = loaded.new_context()
        if scratch is not None:
            context.set_device_memory(scratch.address, scratch.nbytes)
        size = loaded.layout.size
        accepted = [context.set_input_shape(IMAGE, (count, size, size, 3))]
        accepted += [context.set_tensor_address(name, address) for name, address in addresses.items()]
        unknown: list[str] = list(context.infer_shapes())
        if not all(accepted) or unknown:
            raise BackendError(
                f"The engine rejected a batch of {count}: {loaded.book.quote()}.",
                f"Use a batch of {loaded.layout.batch}, which the engine was built for.",
            )
        self._context: tensorrt.IExecutionContext | None = context

    def run(self) -> None:
        """Queue a run.

        Raises:
            DmddError: the engine or CUDA failed.
        """
        if self._graph is None and self._has_run and self._graphs.wanted:
            try:
                self._graph = self._cuda.capture(self._stream, self._execute)
            except DmddError as error:
                # Slower, but correct: continue without graphs.
                self._graphs.wanted, self._graphs.why_not = False, error.message
        if self._graph is not None:
            self._cuda.launch(self._graph, self._stream)
        else:
            self._execute()

    def done(self) -> None:
        """Note that a run has finished, which completes the setup of the shape."""
        self._has_run = True

    def free(self) -> None:
        """Release graph and context, in this order; no run may be in flight."""
        graph, self._graph, self._context = self._graph, None, None
        if graph is not None:
            graph.free()

    def _execute(self) -> None:
        context: tensorrt.IExecutionContext | None = self._context
        assert context is not None, "the launcher is freed"
        queued: bool = context.execute_async_v3(self._stream.handle)
        if not queued:
            raise BackendError(
                f"{self._loaded.sidecar.library} failed to run a batch of {self._count}: "
                f"{self._loaded.book.quote()}.",
                "Close other programs that use the GPU; if it persists, rebuild the engine.",
            )
