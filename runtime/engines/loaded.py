"""An engine in memory, its tensors held against what a bundle's engine must be."""

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


def build_again(sidecar: EngineSidecar) -> str:
    """What to do about an engine that this machine does not take."""
    return f"Build the engine again on this machine: {command('export', target=sidecar.flavour)}"


@dataclass(frozen=True)
class Layout:
    """The tensors of an engine.

    Attributes:
        size: S of the image uint8 N x S x S x 3 and of the map float32 N x S x S; the score is float32 N.
        batch: the sizes that N may have.
    """

    size: int
    batch: BatchProfile


class LoadedEngine:
    """A deserialised engine. Its contexts must be gone before it is closed.

    Args:
        trt: the module ``tensorrt`` or ``tensorrt_rtx``.
        data: the engine's bytes, checked before: this runs native code.
        sidecar: what they are said to be.

    Raises:
        DmddError: the library refuses the engine, or its tensors are not those of a bundle's engine.

    Attributes:
        sidecar: as given.
        layout: its tensors.
        scratch_bytes: of the memory that a run needs besides them.
        own_graphs: whether the library makes CUDA graphs by itself.
        book: what the library said.
    """

    own_graphs = False

    def __init__(self, trt: ModuleType, data: bytes, sidecar: EngineSidecar) -> None:
        self.sidecar, self.book = sidecar, LogBook()
        self._trt = trt
        # Every object of the library keeps using the logger, so it must live as long as they do.
        self._logger: tensorrt.ILogger = make_logger(trt, self.book)
        self._runtime: tensorrt.Runtime | None = self._start_runtime()
        engine: tensorrt.ICudaEngine | None = self._runtime.deserialize_cuda_engine(data)
        if engine is None:
            raise BackendError(
                f"{sidecar.library} does not take the engine: {self.book.quote()}.",
                build_again(sidecar),
            )
        self.layout = read_layout(trt, engine, sidecar)
        self.scratch_bytes = int(engine.device_memory_size_v2)
        self.engine: tensorrt.ICudaEngine | None = engine

    def _start_runtime(self) -> tensorrt.Runtime:
        trt = self._trt
        try:
            runtime: tensorrt.Runtime = trt.Runtime(self._logger)
        except Exception as error:  # the bindings raise TypeError, RuntimeError or their own, by version
            raise BackendError(
                f"{self.sidecar.library} cannot start: {self.book.quote() if self.book.messages else error}.",
                "An NVIDIA driver that fits this version must be loaded: see nvidia-smi.",
            ) from error
        return runtime

    def new_context(self) -> tensorrt.IExecutionContext:
        """A context that must be given scratch memory.

        Raises:
            DmddError: there is none to be had, quoting the library.
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
        """The context, which the library could not make if it is None.

        Raises:
            DmddError: it is None.
        """
        if context is None:
            raise BackendError(
                f"{self.sidecar.library} cannot make the engine ready: {self.book.quote()}.",
                "Close what else uses the GPU, or build the engine for smaller batches.",
            )
        return context

    def keep(self) -> None:
        """Called when a batch size has run for the first time: nothing is worth keeping here."""

    def close(self) -> None:
        """Give the engine back, and the runtime after it."""
        self.engine = None
        self._runtime = None


def read_layout(trt: ModuleType, engine: tensorrt.ICudaEngine, sidecar: EngineSidecar) -> Layout:
    """The tensors of an engine, held against its sidecar.

    Raises:
        DmddError: they are not those of a bundle's engine of that size and batch.
    """
    size = sidecar.image_size
    expected = {
        IMAGE: (trt.DataType.UINT8, (size, size, 3)),
        MAP: (trt.DataType.FLOAT, (size, size)),
        SCORE: (trt.DataType.FLOAT, ()),
    }
    found = {}
    for index in range(engine.num_io_tensors):
        name: str = engine.get_tensor_name(index)
        shape: tuple[int, ...] = tuple(engine.get_tensor_shape(name))
        found[name] = (engine.get_tensor_dtype(name), shape[1:])
    if found != expected:
        raise BackendError(
            f"the engine's tensors are {found}; those of a bundle's are {expected}.",
            build_again(sidecar),
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
            f"the engine takes batches of {batch}; its sidecar says {sidecar.batch}.",
            build_again(sidecar),
        )
    return Layout(size, batch)
