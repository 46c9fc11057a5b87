"""What TensorRT-RTX has of its own: kernels compiled on first use, kept in a file, and graphs by itself."""

from __future__ import annotations

from pathlib import Path
from types import ModuleType
from typing import TYPE_CHECKING

from dmdd_edge.runtime.cuda.gpu import GpuFacts
from dmdd_edge.runtime.engines.engine import EngineSidecar, is_private
from dmdd_edge.runtime.engines.loaded import LoadedEngine
from dmdd_edge.storage import write_atomically

if TYPE_CHECKING:
    import tensorrt_rtx


class LoadedRtxEngine(LoadedEngine):
    """A deserialised TensorRT-RTX engine.

    Args:
        rtx: the module ``tensorrt_rtx``.
        data: the engine's bytes, checked before.
        sidecar: what they are said to be.
        graphs: let the library capture CUDA graphs; it knows when its kernels are ready for it.
        kernels: the file of compiled kernels, read and written back; None to compile them each time.

    Raises:
        DmddError: see ``LoadedEngine``.
    """

    def __init__(
        self, rtx: ModuleType, data: bytes, sidecar: EngineSidecar, graphs: bool, kernels: Path | None
    ) -> None:
        super().__init__(rtx, data, sidecar)
        self.own_graphs = graphs
        self._kernels = kernels
        self._fresh = False  # whether kernels were compiled since they were written down
        engine: tensorrt_rtx.ICudaEngine = self.engine
        config: tensorrt_rtx.IRuntimeConfig = engine.create_runtime_config()
        config.set_execution_context_allocation_strategy(rtx.ExecutionContextAllocationStrategy.USER_MANAGED)
        config.cuda_graph_strategy = (
            rtx.CudaGraphStrategy.WHOLE_GRAPH_CAPTURE if graphs else rtx.CudaGraphStrategy.DISABLED
        )
        # Wait for the kernels of a new batch size at its first run, which is part of warming up, instead of
        # running slower ones until they are there.
        config.dynamic_shapes_kernel_specialization_strategy = (
            rtx.DynamicShapesKernelSpecializationStrategy.EAGER
        )
        cache: tensorrt_rtx.IRuntimeCache = config.create_runtime_cache()
        if kernels is not None and kernels.is_file() and ours_alone(kernels):
            cache.deserialize(kernels.read_bytes())  # False where they do not fit: they are compiled anew
        config.set_runtime_cache(cache)
        self._cache: tensorrt_rtx.IRuntimeCache | None = cache
        self._config: tensorrt_rtx.IRuntimeConfig | None = config

    def new_context(self) -> tensorrt_rtx.IExecutionContext:
        """See ``LoadedEngine.new_context``."""
        engine: tensorrt_rtx.ICudaEngine = self.engine
        context: tensorrt_rtx.IExecutionContext | None = engine.create_execution_context(self._config)
        self._fresh = True
        return self.require(context)

    def keep(self) -> None:
        """Write compiled kernels down, after the first run of a batch size."""
        cache: tensorrt_rtx.IRuntimeCache | None = self._cache
        if self._kernels is None or not self._fresh or cache is None:
            return
        self._fresh = False
        memory: tensorrt_rtx.IHostMemory = cache.serialize()
        try:
            self._kernels.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            write_atomically(self._kernels, bytes(memoryview(memory)))
        except OSError:
            self._kernels = None  # a full or read-only disk: they are compiled again next time

    def close(self) -> None:
        """See ``LoadedEngine.close``."""
        self._cache = None
        self._config = None
        super().close()


def kernels_file(cache: Path, sidecar: EngineSidecar, gpu: GpuFacts) -> Path:
    """Where the compiled kernels of an engine on this GPU lie, or would lie."""
    name = f"{sidecar.engine_sha256[:16]}-{gpu.sm}-rtx{sidecar.library_version}.kernels"
    return cache / "rtx" / name


def ours_alone(file: Path) -> bool:
    """Whether nobody else can write a file or exchange it; kernels are code."""
    return all(is_private(path) for path in (file, file.parent, file.parent.parent))
