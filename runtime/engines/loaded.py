"""An engine in memory, its tensors checked."""

from __future__ import annotations

from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING

from dmdd_edge.errors import BackendError
from dmdd_edge.messages.commands import command
from dmdd_edge.runtime.engines.engine import BatchProfile, EngineSidecar
from dmdd_edge.runtime.engines.logger import LogBook, make_logger

if TYPE_CHECKING:
    import tensorrt

IMAGE, MAP, SCORE = "image", "anomaly_map", "score"


def rebuild(sidecar: EngineSidecar) -> str:
    """The fix for an engine that this machine rejects."""
    return f"Rebuild the engine on this machine: {command('export', target=sidecar.flavour)}"


@dataclass(frozen=True)
class Layout:
    """The tensors of an engine.

    Attributes:
        size: S of the image uint8 N x S x S x 3 and of the map float32 N x S x S; the score is float32 N.
        batch: the possible sizes of N.
    """

    size: int
    batch: BatchProfile


class LoadedEngine:
    """A deserialized engine. Its contexts must be released before it is closed.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.
        data: the engine's bytes, already checked: this runs native code.
        sidecar: its description.

    Raises:
        DmddError: the library rejects the engine, or its tensors are not those of a bundle's engine.

    Attributes:
        sidecar: as given.
        layout: its tensors.
        scratch_bytes: size of the additional memory of a run.
        own_graphs: whether the library creates CUDA graphs itself.
        book: the library's messages.
    """

    own_graphs = False

    def __init__(self, trt: ModuleType, data: bytes, sidecar: EngineSidecar) -> None:
        self.sidecar, self.book = sidecar, LogBook()
        self._trt = trt
        # Every object of the library uses the logger, so it must live as long as they do.
        self._logger: tensorrt.ILogger = make_logger(trt, self.book)
        self._runtime: tensorrt.Runtime | None = self._start_runtime()
        engine: tensorrt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise BackendError(
                f"{sidecar.library} rejected the engine: {self.book.quote()}.",
                rebuild(sidecar),
            )
        self.layout = read_layout(trt, engine, sidecar)
        self.scratch_bytes = int(engine.device_memory_size_v2)
        self.engine: tensorrt.ICudaEngine | None = engine

    def _start_runtime(self) -> tensorrt.Runtime:
        trt = self._trt
        try:
            runtime: tensorrt.Runtime = trt.Runtime(self._logger)
        except Exception as error:  # the bindings raise TypeError, RuntimeError or their own, by version
            cause = self.book.quote() if self.book.messages else str(error)
            raise BackendError(
                f"{self.sidecar.library} cannot start: {cause}.",
                "Check with nvidia-smi that a driver for this version is loaded.",
            ) from error
        return runtime

    def new_context(self) -> tensorrt.IExecutionContext:
        """Create a context, which needs scratch memory.

        Raises:
            DmddError: the library failed; quotes it.
        """
        trt = self._trt
        engine: tensorrt.ICudaEngine | None = self.engine
        assert engine is not None, "the engine is closed"
        strategy: tensorrt.ExecutionContextAllocationStrategy = (
            trt.ExecutionContextAllocationStrategy.USER_MANAGED
        )
        context: tensorrt.IExecutionContext | None = engine.create_execution_context(strategy)
        return self.require(context)

    def require(self, context: tensorrt.IExecutionContext | None) -> tensorrt.IExecutionContext:
        """Return the context, which is None if the library could not create it.

        Raises:
            DmddError: it is None.
        """
        if context is None:
            raise BackendError(
                f"{self.sidecar.library} cannot create a context: {self.book.quote()}.",
                "Close other programs that use the GPU, or build the engine for smaller batches.",
            )
        return context

    def keep(self) -> None:
        """Called after the first run of a batch size; a library may save its compiled kernels."""

    def close(self) -> None:
        """Release the engine, then the runtime."""
        self.engine = None
        self._runtime = None


def read_layout(trt: ModuleType, engine: tensorrt.ICudaEngine, sidecar: EngineSidecar) -> Layout:
    """Read the tensors of an engine, and check them with its sidecar.

    Raises:
        DmddError: they are not those of a bundle's engine of that size and batch.
    """
    size = sidecar.image_size
    expected = {
        IMAGE: (trt.DataType.UINT8, (size, size, 3)),
        MAP: (trt.DataType.FLOAT, (size, size)),
        SCORE: (trt.DataType.FLOAT, ()),
    }
    tensors = {}
    for index in range(engine.num_io_tensors):
        name: str = engine.get_tensor_name(index)
        shape: tuple[int, ...] = tuple(engine.get_tensor_shape(name))
        tensors[name] = (engine.get_tensor_dtype(name), shape[1:])
    if tensors != expected:
        raise BackendError(
            f"The engine's tensors are {tensors} instead of {expected}.",
            rebuild(sidecar),
        )
    free, *_ = tuple(engine.get_tensor_shape(IMAGE))
    sizes = [free] * 3
    if free == -1:
        shapes = [tuple(shape) for shape in list(engine.get_tensor_profile_shape(IMAGE, 0))]
        sizes = [count for count, *_ in shapes]
    smallest, best, largest = sizes
    batch = BatchProfile(minimum=smallest, optimum=best, maximum=largest)
    if batch != sidecar.batch:
        raise BackendError(
            f"The engine supports batches of {batch}, but its sidecar states {sidecar.batch}.",
            rebuild(sidecar),
        )
    return Layout(size, batch)
